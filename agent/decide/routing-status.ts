// What the agent shows of its part in routing.
import { tooMany } from './announce.ts';
import type { AgentState } from './state.ts';

export interface RoutingStatus {
  readonly announced: readonly AnnouncedStatus[];
  /** What a rule picked and is not announced. */
  readonly withheld: readonly { readonly prefix: string; readonly reason: string }[];
}

export interface AnnouncedStatus {
  readonly prefix: string;
  /** NHRP's: 255 best, 0 unspecified. */
  readonly preference: number;
  /** "static", or where the kernel has it from: "ospf eth1". */
  readonly origin: string;
  /** Why the registry does not take it. */
  readonly refused: string | null;
}

/** Of ten thousand there is nothing to see. */
const mostShown = 200;

export function routingStatus({ routing, registration }: AgentState): RoutingStatus {
  const refused = new Map(registration.refused.map((text) => [text.slice(0, text.indexOf(': ')), text] as const));
  return {
    announced: [...routing.announcements.values()].map((one) => ({
      ...one,
      refused: refused.get(one.prefix) ?? null,
    })),
    withheld: [...routing.withheld].slice(0, mostShown).map(([prefix, reason]) => ({ prefix, reason })),
  };
}

/** What is wrong with it, in words. */
export function routingFaults({ routing, self }: AgentState): string[] {
  const excess = [...routing.withheld.values()].filter((reason) => reason === tooMany).length;
  if (excess === 0) return [];
  const total = excess + routing.announcements.size;
  return [
    `${String(total)} prefixes are to be announced, and ${String(excess)} are over the limit of ` +
      `${String(self.routing.limit)}: narrow routing.import in agent.yaml`,
  ];
}
