// Between what the port speaks of and the machine's own values.
import { leastTrip, lossOf } from '#agent/decide/bfd-measure.ts';
import { diagnosticName } from '#agent/decide/bfd-packet.ts';
import type { BfdParameters, BfdSession } from '#agent/decide/bfd-session.ts';
import type { BfdObservation, BfdSessionConfig } from './bfd-port.ts';

export function parametersOf({ interval, multiplier, role }: BfdSessionConfig): BfdParameters {
  return { desiredMinTx: interval, requiredMinRx: interval, multiplier, role };
}

export function sameParameters(parameters: BfdParameters, { interval, multiplier, role }: BfdSessionConfig): boolean {
  return parameters.desiredMinTx === interval && parameters.multiplier === multiplier && parameters.role === role;
}

export function observationOf(
  session: BfdSession,
  { since, sendErrors }: Pick<BfdObservation, 'since' | 'sendErrors'>,
): BfdObservation {
  return {
    state: session.state,
    since,
    rtt: session.state === 'up' ? leastTrip(session.trips) : undefined,
    loss: session.state === 'up' ? lossOf(session.trips) : undefined,
    diagnostic: diagnosticName(session.diagnostic),
    remoteState: session.remote.state,
    sendErrors,
  };
}
