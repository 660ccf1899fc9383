// How long a flow may be without a packet in a round: a pure function of what went wrong. Milliseconds.
import type { Fault, Incident, Round } from './plan.ts';

export interface Flow {
  readonly ends: readonly [string, string];
  /** When the round began. */
  readonly direct: boolean;
}

export interface Times {
  /** Of BFD. */
  readonly detection: number;
  /** From the end of a fault until a path is up again: retries have back-off. */
  readonly recovery: number;
  readonly hubs: readonly string[];
  /** Who shares whose link. */
  readonly behind: Readonly<Record<string, string>>;
}

export function longestGap(flow: Flow, round: Round, times: Times): number {
  const shaken = round.some(({ fault }) => touchesPath(flow, fault, times));
  const spans = round.map((incident) => spanOf(flow, incident, { ...times, byHub: !flow.direct || shaken }));
  return spans.reduce((sum, span) => sum + span, 0);
}

function spanOf(
  flow: Flow,
  { fault, lasts }: Incident,
  { detection, recovery, hubs, behind, byHub }: Times & { readonly byHub: boolean },
): number {
  const onLink = (name: string): boolean => usesLink(flow, name, behind);
  const gone = lasts + detection + recovery;
  switch (fault.kind) {
    case 'kill-registry':
    case 'freeze-registry':
    case 'kill-etcd':
    case 'freeze-etcd':
    case 'set-clock':
      return 0;
    case 'isolate':
      if (onLink(fault.host)) return gone;
      return byHub && hubs.includes(fault.host) ? gone : 0;
    case 'cut': {
      const [one, other] = fault.between;
      if (onLink(one) && onLink(other)) return detection;
      const isHub = (hubs.includes(other) && onLink(one)) || (hubs.includes(one) && onLink(other));
      return isHub && byHub ? gone : 0;
    }
    case 'kill-agent':
    case 'freeze-agent':
      // The data plane goes on.
      return 0;
    case 'cut-power':
      return has(flow, fault.node) || (byHub && hubs.includes(fault.node)) ? gone : 0;
  }
}

/** Whether the fault can bring a direct flow to the hub. */
function touchesPath(flow: Flow, fault: Fault, { behind }: Times): boolean {
  switch (fault.kind) {
    case 'isolate':
      return usesLink(flow, fault.host, behind);
    case 'cut':
      return fault.between.every((end) => usesLink(flow, end, behind));
    case 'kill-agent':
    case 'freeze-agent':
    case 'cut-power':
      return has(flow, fault.node);
    default:
      return false;
  }
}

function has({ ends }: Flow, name: string): boolean {
  return ends.includes(name);
}

function usesLink({ ends }: Flow, name: string, behind: Times['behind']): boolean {
  return ends.some((end) => end === name || behind[end] === name);
}
