import type { LabPlan, NatKind } from './plan.ts';

/** Where the registry and the hub of every world are. */
export const registryAddress = '198.51.100.2';
export const hubAddress = '198.51.100.3';
export const hubEndpoint = `${hubAddress}:51820`;

/**
 * The registry and a hub on the internet; spokes a and b, each behind its NAT and with an office LAN of its own behind it;
 * spoke c directly on the internet.
 */
export function sites(kind: NatKind = 'restricted'): LabPlan {
  return {
    hosts: {
      registry: { attach: { internet: registryAddress } },
      hub: { attach: { internet: hubAddress } },
      a: { attach: { 'home-a': '192.168.11.2/24', 'office-a': '10.10.1.1/24' }, gateway: '192.168.11.1' },
      b: { attach: { 'home-b': '192.168.12.2/24', 'office-b': '10.10.2.1/24' }, gateway: '192.168.12.1' },
      c: { attach: { internet: '198.51.100.7' } },
      'pc-a': { attach: { 'office-a': '10.10.1.20/24' }, gateway: '10.10.1.1' },
      'pc-b': { attach: { 'office-b': '10.10.2.20/24' }, gateway: '10.10.2.1' },
    },
    nats: {
      'nat-a': { kind, attach: { internet: '203.0.113.11', 'home-a': '192.168.11.1/24' } },
      'nat-b': { kind, attach: { internet: '203.0.113.12', 'home-b': '192.168.12.1/24' } },
    },
  };
}

export const officeA = '10.10.1.0/24';
export const officeB = '10.10.2.0/24';
export const pcA = '10.10.1.20';
export const pcB = '10.10.2.20';

/** A branch with two Internet links, each behind a NAT of its own; b behind another; c directly on the internet. */
export const twoUplinks: LabPlan = {
  hosts: {
    registry: { attach: { internet: registryAddress } },
    hub: { attach: { internet: hubAddress } },
    branch: { attach: { fibre: '192.168.11.2/24', mobile: '192.168.12.2/24' }, gateway: '192.168.11.1' },
    b: { attach: { 'home-b': '192.168.13.2/24' }, gateway: '192.168.13.1' },
    c: { attach: { internet: '198.51.100.7' } },
  },
  nats: {
    'nat-fibre': { kind: 'restricted', attach: { internet: '203.0.113.11', fibre: '192.168.11.1/24' } },
    'nat-mobile': { kind: 'restricted', attach: { internet: '203.0.113.12', mobile: '192.168.12.1/24' } },
    'nat-b': { kind: 'restricted', attach: { internet: '203.0.113.13', 'home-b': '192.168.13.1/24' } },
  },
};
