// Tells the loop what BFD has measured, when something follows from it: on spokes alone, which choose among paths.
import { type Clock, pause } from '#proto/kit/clock.ts';
import type { Event } from './decide/event.ts';
import { measured } from './decide/quality.ts';
import type { AgentState } from './decide/state.ts';
import type { Bfd } from './io/bfd-port.ts';
import { readPaths } from './read-status.ts';

export interface MeasuringOptions {
  readonly bfd: Bfd;
  readonly state: () => AgentState;
  readonly post: (event: Event) => void;
  readonly clock: Clock;
}

const periodMs = 2000;

export async function runMeasuring({ bfd, state, post, clock }: MeasuringOptions, signal: AbortSignal): Promise<void> {
  for (;;) {
    await pause(periodMs, signal);
    if (signal.aborted) return;
    const now = state();
    if (now.self.role !== 'spoke') continue;
    const readings = readPaths(bfd);
    const turn = { now: clock.now(), random: () => 0, effects: [] };
    if (measured(now, readings, turn) !== now) post({ kind: 'measured', readings });
  }
}
