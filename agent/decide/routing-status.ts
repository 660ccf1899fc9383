// What the agent shows of its part in routing.
import { comparePrefixes } from '#proto/model/address.ts';
import { tooMany } from './announce.ts';
import { exitWay } from './exit.ts';
import type { AgentState } from './state.ts';

export interface RoutingStatus {
  readonly announced: readonly AnnouncedStatus[];
  /** What a rule picked and is not announced. */
  readonly withheld: readonly { readonly prefix: string; readonly reason: string }[];
  /** What others announce, as far as this node has to know it. */
  readonly learned: readonly LearnedStatus[];
  /** How many there are in all: of many, the first are shown. */
  readonly counts: { readonly announced: number; readonly withheld: number; readonly learned: number };
  readonly exit: ExitStatus | null;
}

export interface LearnedStatus {
  readonly prefix: string;
  /** The best of those that announce it. */
  readonly node: string;
  readonly preference: number;
  /** How many announce it. */
  readonly origins: number;
  readonly installed: boolean;
  /** Why it is not. */
  readonly reason: string | null;
}

export interface ExitStatus {
  readonly node: string;
  readonly killSwitch: boolean;
  /** By which interface; null while there is no way. */
  readonly interface: string | null;
  readonly direct: boolean;
  readonly reason: string | null;
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

const cutOff = 'no hub answers: left to the other routers of the site';
/** Of ten thousand there is nothing to see. */
const mostShown = 200;

export function routingStatus(state: AgentState): RoutingStatus {
  const { routing, registration, learned } = state;
  const refused = new Map(registration.refused.map((text) => [text.slice(0, text.indexOf(': ')), text] as const));
  return {
    announced: [...routing.announcements.values()].slice(0, mostShown).map((one) => ({
      ...one,
      refused: refused.get(one.prefix) ?? null,
    })),
    withheld: [...routing.withheld].slice(0, mostShown).map(([prefix, reason]) => ({ prefix, reason })),
    learned: learnedStatus(state),
    counts: {
      announced: routing.announcements.size,
      withheld: routing.withheld.size,
      learned: learned?.size ?? 0,
    },
    exit: exitStatus(state),
  };
}

function learnedStatus({ routing, learned, self, activeHub }: AgentState): LearnedStatus[] {
  const sorted = [...(learned?.values() ?? [])].sort((a, b) => comparePrefixes(a.prefix, b.prefix));
  const noHub = routing.cutOff ? cutOff : self.role === 'spoke' && activeHub === undefined ? 'no hub is up' : null;
  return sorted.slice(0, mostShown).map(({ prefix, origins }) => {
    const reason = routing.left.get(prefix) ?? noHub;
    const [best] = origins;
    return {
      prefix,
      node: best?.name ?? '',
      preference: best?.preference ?? 0,
      origins: origins.length,
      installed: reason === null,
      reason,
    };
  });
}

function exitStatus(state: AgentState): ExitStatus | null {
  const { exit } = state.self;
  const way = exitWay(state, 4);
  if (!exit || !way) return null;
  const common = { node: exit.via, killSwitch: exit.killSwitch };
  return 'reason' in way
    ? { ...common, interface: null, direct: false, reason: way.reason }
    : { ...common, interface: way.interface, direct: way.direct, reason: null };
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
