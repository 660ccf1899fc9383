import type { Address } from './address.ts';

/** One of the ways by which a node's packets leave to the world: "uplinks" in agent.yaml. */
export interface UplinkConfig {
  readonly name: string;
  /** Absent: the one that has the source address. */
  readonly interface: string | undefined;
  /** Of its packets; absent: as the kernel's routes say. */
  readonly source: Address | undefined;
  /** Absent: as the kernel's default route by this interface says. */
  readonly gateway: Address | undefined;
  /** 0 best, 255 worst. Of equal ones each carries a part of the hub tunnels. */
  readonly priority: number;
}

export const mostUplinks = 8;
