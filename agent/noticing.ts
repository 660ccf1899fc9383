// Noticing traffic: the NFLOG reader runs while the state wants it, on hubs in phase 3 and on spokes in phase 2.
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Event } from './decide/event.ts';
import { createCapture } from './io/capture.ts';
import { runIndications } from './observe/indications.ts';

export interface NoticingOptions {
  /** NFLOG group of our firewall table. */
  readonly group: number;
  readonly logger: Logger;
  /** [0, 1). */
  readonly random: () => number;
  readonly post: (event: Event) => void;
}

export interface Noticing {
  /** Level-triggered. */
  readonly set: (wanted: boolean) => void;
  /** Resolves when the reader is gone. */
  readonly stop: () => Promise<void>;
}

export function createNoticing({ group, logger, random, post }: NoticingOptions): Noticing {
  let running: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;

  async function read(signal: AbortSignal, before: Promise<void> | undefined): Promise<void> {
    // A group has one reader.
    await before;
    try {
      const onIndication = (packet: Omit<Extract<Event, { kind: 'indication' }>, 'kind'>): void => {
        post({ kind: 'indication', ...packet });
      };
      await runIndications({ group, logger, capture: createCapture(), random, onIndication }, signal);
    } catch (error) {
      logger.error({ group, error: errorText(error) }, 'traffic is not noticed');
    }
  }

  let last: Promise<void> | undefined;
  const set = (wanted: boolean): void => {
    if (wanted === (running !== undefined)) return;
    if (running) {
      running.abort.abort();
      last = running.ended;
      running = undefined;
      return;
    }
    const abort = new AbortController();
    running = { abort, ended: read(abort.signal, last) };
  };
  const stop = async (): Promise<void> => {
    set(false);
    await last;
  };
  return { set, stop };
}
