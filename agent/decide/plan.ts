import type { Change } from './change.ts';

/**
 * The order in which changes are done: a thing is made before what uses it, what is new before what is old goes. Adding
 * everything before removing anything keeps traffic flowing while a host moves from one state to the next.
 */
const order: Readonly<Record<Change['kind'], number>> = {
  'set-sysctl': 0,
  'create-interface': 1,
  'configure-interface': 2,
  'add-address': 3,
  'add-peer': 4,
  'update-peer': 5,
  'replace-peer': 6,
  'move-peer': 6,
  'replace-route': 7,
  'add-route': 8,
  'set-firewall': 9,
  // What sends traffic into the tunnels comes when the kill switch is there, and goes before the routes that it leads to.
  'add-rule': 10,
  'remove-rule': 11,
  'remove-route': 12,
  'remove-peer': 13,
  'remove-address': 14,
  'delete-interface': 15,
  'remove-firewall': 16,
};

/** Sorts changes into the order of doing; those of one kind keep theirs. */
export function plan(changes: readonly Change[]): Change[] {
  return [...changes].sort((a, b) => order[a.kind] - order[b.kind]);
}
