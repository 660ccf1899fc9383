// Notices traffic: the kernel logs the first packet of a pair of addresses to an NFLOG group (the rules are in our nft
// table), and tcpdump hands that group on as a pcap stream.
import { backoff } from '#proto/kit/backoff.ts';
import { pause } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Milliseconds } from '#proto/model/time.ts';
import { type LoggedPacket, loggedPacket, PcapReader } from './pcap.ts';

export interface CaptureSinks {
  /** Bytes of stdout. */
  readonly onData: (piece: Uint8Array) => void;
  /** A line of stderr. */
  readonly onLine: (line: string) => void;
}

/**
 * Runs a long program and hands on its output until it ends or `signal` kills it; resolves when it is gone. Throws if it
 * cannot be started.
 */
export type Capture = (
  program: string,
  args: readonly string[],
  sinks: CaptureSinks,
  signal: AbortSignal,
) => Promise<void>;

export interface IndicationOptions {
  /** NFLOG group, 0 to 65535. */
  readonly group: number;
  readonly logger: Logger;
  readonly capture: Capture;
  /** [0, 1). */
  readonly random: () => number;
  readonly onIndication: (packet: LoggedPacket) => void;
  /**
   * The group is bound, for the first time or again. What was logged before is lost: the pairs that the kernel remembers
   * as logged may have to be forgotten.
   */
  readonly onReady?: () => void;
}

interface Ending {
  readonly reason: string;
  /** Another process, perhaps our predecessor that is about to die, has the group. */
  readonly held: boolean;
  readonly wasReady: boolean;
}

const firstPause = 50;
const longestPause = 10_000;
/** A predecessor that was killed is gone in milliseconds. */
const longestPauseWhileHeld = 400;

/** Runs until `signal` aborts; leaves no process behind. tcpdump is started again whenever it ends. */
export async function runIndications(options: IndicationOptions, signal: AbortSignal): Promise<void> {
  const pauses = (held: boolean): Generator<Milliseconds, never> =>
    backoff(firstPause, held ? longestPauseWhileHeld : longestPause, options.random);
  let waits = pauses(false);
  let last: Ending | undefined;
  while (!signal.aborted) {
    const ending = await captureOnce(options, signal);
    // A function call, as the compiler takes the signal's state for fixed since the loop's head.
    if (isAborted(signal)) return;
    if (ending.wasReady || ending.held !== last?.held) waits = pauses(ending.held);
    if (ending.wasReady || ending.reason !== last?.reason) {
      options.logger.warn({ group: options.group, reason: ending.reason }, 'traffic is not noticed, trying again');
    }
    last = ending;
    await pause(waits.next().value, signal);
  }
}

async function captureOnce(options: IndicationOptions, signal: AbortSignal): Promise<Ending> {
  const { group, logger, onIndication } = options;
  const reader = new PcapReader();
  const corrupt = new AbortController();
  let wasReady = false;
  let reason = 'tcpdump ended';

  const onData = (piece: Uint8Array): void => {
    if (corrupt.signal.aborted) return;
    const records = reader.push(piece);
    if (!records.ok) {
      reason = records.fault.message;
      corrupt.abort();
      return;
    }
    for (const record of records.value) {
      const packet = loggedPacket(record);
      if (packet.ok) onIndication(packet.value);
      else logger.debug({ group, reason: packet.fault.message }, 'logged packet not understood');
    }
  };
  const onLine = (line: string): void => {
    if (line.includes('listening on')) {
      wasReady = true;
      logger.debug({ group }, 'traffic is noticed');
      options.onReady?.();
    } else if (/^(tcpdump|setpriv): (?!data link type)/.test(line)) {
      reason = line.includes('failed to execute')
        ? 'tcpdump is not installed: install the Debian package tcpdump'
        : line;
    }
  };

  try {
    await options.capture(
      'setpriv',
      captureArguments(group),
      { onData, onLine },
      AbortSignal.any([signal, corrupt.signal]),
    );
  } catch (error) {
    reason = errorText(error);
  }
  return { reason, held: /listen on group/.test(reason), wasReady };
}

/** Writes every packet at once (-U, --immediate-mode) and stays root, as a change of user clears the death signal. */
function captureArguments(group: number): readonly string[] {
  const tcpdump = ['tcpdump', '-Z', 'root', '-i', `nflog:${String(group)}`, '-s', '256'];
  return ['--pdeathsig', 'KILL', '--', ...tcpdump, '-U', '--immediate-mode', '-w', '-'];
}

function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
