import type { Change } from './change.ts';

/**
 * The order in which changes are done: a thing is made before what uses it, what is new before what is old goes. Adding
 * everything before removing anything keeps traffic flowing while a host moves from one state to the next.
 */
const order: Readonly<Record<Change['kind'], number>> = {
  'set-sysctl': 0,
  'set-gateway': 1,
  'create-interface': 2,
  // Its mark is that of a way that is there.
  'configure-interface': 3,
  'add-address': 4,
  'add-peer': 5,
  'update-peer': 6,
  'replace-peer': 7,
  'move-peer': 7,
  'replace-route': 8,
  'add-route': 9,
  'set-firewall': 10,
  // What sends traffic into the tunnels comes when the kill switch is there, and goes before the routes that it leads to.
  'add-rule': 11,
  'remove-rule': 12,
  'remove-route': 13,
  'remove-peer': 14,
  'remove-address': 15,
  'delete-interface': 16,
  'remove-gateway': 17,
  'remove-firewall': 18,
};

/** Sorts changes into the order of doing; those of one kind keep theirs. */
export function plan(changes: readonly Change[]): Change[] {
  return [...changes].sort((a, b) => order[a.kind] - order[b.kind]);
}
