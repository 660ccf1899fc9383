import type { Clock } from '#proto/kit/clock.ts';
import { pause } from '#proto/kit/clock.ts';
import { backoff } from '#proto/kit/backoff.ts';
import type { Follow } from '#agent/io/host-port.ts';

export interface KernelMonitor {
  readonly follow: Follow;
  /** Something about links, addresses or routes changed: ours or not. Comes in bursts. */
  readonly onChange: () => void;
  readonly clock: Clock;
  /** [0, 1). */
  readonly random: () => number;
}

const firstPause = 100;
const longestPause = 10_000;

/** Tells of changes in the kernel until `signal` aborts. While the child is being restarted, changes go unnoticed. */
export async function monitorKernel(options: KernelMonitor, signal: AbortSignal): Promise<void> {
  let waits = backoff(firstPause, longestPause, options.random);
  for (;;) {
    const started = options.clock.now();
    try {
      await options.follow(
        'setpriv',
        ['--pdeathsig', 'KILL', '--', 'ip', 'monitor', 'link', 'address', 'route'],
        options.onChange,
        signal,
      );
    } catch {
      // It could not be started: this is only a hint channel, and the periodic pass goes on without it.
    }
    if (options.clock.now() - started > longestPause) waits = backoff(firstPause, longestPause, options.random);
    await pause(waits.next().value, signal);
    if (signal.aborted) return;
    options.onChange();
  }
}
