// The session with the registry: kept up, one connection after the other, over all of its addresses.
import type { ChannelCredentials } from '@grpc/grpc-js';
import { backoff } from '#proto/kit/backoff.ts';
import { type Clock, pause } from '#proto/kit/clock.ts';
import type { Logger } from '#proto/kit/log.ts';
import { type ClientIdentity, registryCredentials } from '#proto/kit/registry-credentials.ts';
import type { Fault } from '#proto/model/result.ts';
import type { NodeMessage } from '#proto/model/session.ts';
import type { Milliseconds } from '#proto/model/time.ts';
import { awaitBetter } from './registry-fallback.ts';
import { certificateFault, isLasting } from './session-fault.ts';
import type { Registries, Session, SessionHandlers } from './session-port.ts';
import { holdStream, type StreamEnd } from './session-stream.ts';

export interface SessionOptions {
  /** May change at any time. */
  readonly registries: Registries;
  /** How long a session with a worse one lasts until the better ones are tried again. */
  readonly fallbackTime: () => Milliseconds;
  readonly identity: ClientIdentity;
  readonly agentVersion: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** [0, 1) */
  readonly random: () => number;
}

const firstWait = 200;
const mostWait = 10_000;
/** A session that lasted so long starts the waits from the first one again. */
const lasted = 5_000;
const slowWait = 60_000;

export function createSession(options: SessionOptions): Session {
  const { registries, fallbackTime, agentVersion, logger, clock, random } = options;
  const undecodable = new Set<string>();
  let identity = options.identity;
  /** Ends the connection, or the wait for the next one. */
  let attempt = new AbortController();
  let sendNow: ((message: NodeMessage) => boolean) | undefined;
  let reported: string | undefined;
  /** Which registry is or will be asked. */
  let current = '';

  /** One line for each state, not for each attempt. */
  function report(fault: Fault, endpoint: string): void {
    if (reported === fault.code) return;
    reported = fault.code;
    const fields = { endpoint, code: fault.code, reason: fault.message };
    if (isLasting(fault)) logger.error(fields, 'no session with the registry');
    else logger.warn(fields, 'no session with the registry');
  }

  async function connect(endpoint: string, signal: AbortSignal, handlers: SessionHandlers): Promise<StreamEnd> {
    const expired = certificateFault(identity, clock.date());
    if (expired) return { kind: 'fault', fault: expired };
    const watch = new AbortController();
    const stream = { endpoint, agentVersion, credentials: registryCredentials(identity) };
    const end = await holdStream(
      stream,
      {
        onWelcome(send) {
          reported = undefined;
          sendNow = send;
          logger.info({ endpoint }, 'session with the registry is up');
          handlers.onConnected({ endpoint });
          void goBack(watch.signal);
        },
        onPush(message) {
          handlers.onMessage(message);
        },
        onUndecodable(kind, fault) {
          if (undecodable.has(kind)) return;
          undecodable.add(kind);
          logger.warn({ kind, code: fault.code, reason: fault.message }, 'ignoring a message that is not understood');
        },
      },
      signal,
    );
    watch.abort();
    const connected = sendNow !== undefined;
    sendNow = undefined;
    if (connected) {
      const reason = reasonOf(end);
      logger.info({ endpoint, reason }, 'session with the registry is down');
      handlers.onDisconnected(reason);
    }
    return end;
  }

  /** To a better registry, once one serves. */
  async function goBack(signal: AbortSignal): Promise<void> {
    const credentials = (): ChannelCredentials => registryCredentials(identity);
    const better = (): readonly string[] => registries.better(current);
    const serving = await awaitBetter({ better, credentials, fallbackTime, random }, signal);
    if (serving === undefined || signal.aborted) return;
    logger.info({ endpoint: serving }, 'a better registry serves');
    current = serving;
    attempt.abort();
  }

  function conclude(fault: Fault, endpoint: string, handlers: SessionHandlers): void {
    // A registry that is restarted says so: that is no trouble.
    if (fault.code !== 'draining') report(fault, endpoint);
    if (fault.code === 'revoked') handlers.onRevoked(fault.message);
  }

  async function run(signal: AbortSignal, handlers: SessionHandlers): Promise<void> {
    const stop = (): void => {
      attempt.abort();
    };
    signal.addEventListener('abort', stop);
    let waits = backoff(firstWait, mostWait, random);
    /** Addresses in a row with a fault that will not pass soon: only after all of them comes the long wait. */
    let hopeless = 0;
    current = registries.after(undefined);
    while (!signal.aborted) {
      attempt = new AbortController();
      const endpoint = current;
      const startedAt = clock.now();
      const fault = faultOf(await connect(endpoint, attempt.signal, handlers));
      // Stopped, or to be made anew with another identity or registry.
      if (!fault) continue;
      conclude(fault, endpoint, handlers);
      current = registries.after(current);
      hopeless = isLasting(fault) ? hopeless + 1 : 0;
      if (clock.now() - startedAt > lasted) waits = backoff(firstWait, mostWait, random);
      const wait = waits.next().value;
      const slow = fault.code === 'revoked' || hopeless >= registries.count();
      await pause(slow ? slowWait * (0.75 + random() / 2) : wait, attempt.signal);
    }
    signal.removeEventListener('abort', stop);
  }

  return {
    run,
    send: (message) => sendNow?.(message) ?? false,
    reconnect() {
      attempt.abort();
    },
    replaceIdentity(renewed) {
      identity = renewed;
      attempt.abort();
    },
  };
}

function faultOf(end: StreamEnd): Fault | undefined {
  switch (end.kind) {
    case 'stopped':
      return undefined;
    case 'fault':
      return end.fault;
    case 'goodbye':
      return end.reason === 'replaced'
        ? { code: 'replaced', message: `another agent uses the identity of this node: ${end.detail}` }
        : { code: end.reason, message: end.detail };
  }
}

function reasonOf(end: StreamEnd): string {
  return faultOf(end)?.message ?? 'stopped here';
}
