import type { Host } from './host.ts';
import { internet, type NatKind } from './plan.ts';

/** The nft ruleset of a NAT. */
export function natRules(kind: Exclude<NatKind, 'none'>): string {
  const closed = kind === 'lax' ? [] : [`iifname "${internet}" ct state new,invalid drop`];
  return [
    'table inet lab {',
    'chain input {',
    'type filter hook input priority 0;',
    ...closed,
    '}',
    'chain forward {',
    'type filter hook forward priority 0;',
    ...closed,
    '}',
    'chain nat {',
    'type nat hook postrouting priority srcnat;',
    `oifname "${internet}" masquerade${kind === 'symmetric' ? ' fully-random' : ''}`,
    '}',
    '}',
    '',
  ].join('\n');
}

/** Drops everything that a NAT passes on, and all that is for itself. */
export async function silence(nat: Host): Promise<void> {
  const chains = ['input', 'forward'].flatMap((hook) => [
    `chain ${hook} {`,
    `type filter hook ${hook} priority -10; policy drop;`,
    '}',
  ]);
  await nat.run(['nft', '-f', '-'], { input: ['table inet cut {', ...chains, '}', ''].join('\n') });
}

export async function unsilence(nat: Host): Promise<void> {
  await nat.run(['nft', 'delete', 'table', 'inet', 'cut']);
}
