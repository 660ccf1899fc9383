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
