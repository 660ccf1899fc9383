import { type ClientReadableStream, type ServiceError, status } from '@grpc/grpc-js';
import { ProgramError } from '#proto/kit/errors.ts';
import { deadlineMs } from './rpc-error.ts';

/** What hears of a stream of answers. */
export interface Listener<A> {
  /** Ends the stream. */
  readonly signal: AbortSignal;
  /** The registry answers: what happens from now on is told. */
  readonly onBegin: () => void;
  readonly onAnswer: (answer: A) => void;
}

/**
 * Reads a stream that has no end of its own, until `signal` aborts. Rejects with the ServiceError of a call that failed, and with
 * ProgramError when the registry ended it.
 */
export function readStream<A>(open: () => ClientReadableStream<A>, listener: Listener<A>): Promise<void> {
  const { signal } = listener;
  if (signal.aborted) return Promise.resolve();
  return new Promise<void>((resolve, reject) => {
    const stream = open();
    let late = false;
    const cancel = (): void => {
      stream.cancel();
    };
    const slow = setTimeout(() => {
      late = true;
      cancel();
    }, deadlineMs);
    const over = (): void => {
      clearTimeout(slow);
      signal.removeEventListener('abort', cancel);
    };
    signal.addEventListener('abort', cancel, { once: true });
    stream.on('metadata', () => {
      clearTimeout(slow);
      if (!signal.aborted) listener.onBegin();
    });
    stream.on('data', (answer: A) => {
      if (signal.aborted) return;
      try {
        listener.onAnswer(answer);
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
        cancel();
      }
    });
    stream.on('end', () => {
      over();
      reject(new ProgramError('the registry ended this, as it stops; run it again'));
    });
    stream.on('error', (error: ServiceError) => {
      over();
      if (signal.aborted) resolve();
      else if (late) reject(Object.assign(error, { code: status.DEADLINE_EXCEEDED }));
      else reject(error);
    });
  });
}
