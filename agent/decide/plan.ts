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
  'replace-route': 7,
  'add-route': 8,
  'set-firewall': 9,
  'remove-route': 10,
  'remove-peer': 11,
  'remove-address': 12,
  'delete-interface': 13,
  'remove-firewall': 14,
};

/** Sorts changes into the order of doing; those of one kind keep theirs. */
export function plan(changes: readonly Change[]): Change[] {
  return [...changes].sort((a, b) => order[a.kind] - order[b.kind]);
}
