import { errorText } from '#proto/kit/errors.ts';

/** Milliseconds until a new stream has given its first answer. */
const firstAnswerWithin = 5000;

/** What etcd3 gives of a bidirectional stream. */
export interface Duplex<Request, Answer> {
  on(event: 'data', listener: (answer: Answer) => void): this;
  on(event: 'end', listener: () => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  write(request: Request): void;
  end(): void;
  cancel(): void;
}

export interface StreamHandlers<Answer, Reason extends string> {
  readonly data: (answer: Answer, end: (reason: Reason | 'broken', message: string) => void) => void;
  /** Once, unless the stream was stopped. */
  readonly ended: (reason: Reason | 'broken', message: string) => void;
}

export interface Stream<Request> {
  readonly write: (request: Request) => void;
  readonly stop: () => void;
}

/** A stream with one end, whatever comes first of an error, the server's end, a late first answer, end() and stop(); `signal` stops it. */
export function openStream<Request, Answer, Reason extends string>(
  open: () => Promise<Duplex<Request, Answer>>,
  first: Request,
  handlers: StreamHandlers<Answer, Reason>,
  signal: AbortSignal,
): Stream<Request> {
  let stream: Duplex<Request, Answer> | undefined;
  let over = false;
  const stop = (): void => {
    over = true;
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    // Ended first: etcd3 takes the error of a stream that is still writable for a failure of the host.
    stream?.end();
    stream?.cancel();
  };
  const end = (reason: Reason | 'broken', message: string): void => {
    if (over) return;
    stop();
    handlers.ended(reason, message);
  };
  const timer = setTimeout(() => {
    end('broken', `etcd did not answer within ${String(firstAnswerWithin)} ms`);
  }, firstAnswerWithin);
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  open().then(
    (opened) => {
      stream = opened
        .on('error', (error) => {
          end('broken', errorText(error));
        })
        .on('end', () => {
          end('broken', 'etcd ended the stream');
        })
        .on('data', (answer) => {
          clearTimeout(timer);
          if (!over) handlers.data(answer, end);
        });
      if (over) stop();
      else stream.write(first);
    },
    (error: unknown) => {
      end('broken', errorText(error));
    },
  );
  return {
    stop,
    write: (request) => {
      if (!over) stream?.write(request);
    },
  };
}
