// The agent on one page: events -> step (decide/step.ts) -> desired host (decide/desired.ts) -> diff against the kernel's
// picture (decide/diff.ts) -> changes -> kernel (apply/). Events only wake the loop; a lost one costs latency, never
// correctness, as the kernel is read again after every change, on the kernel's own notice, and every half minute.
import type { Clock } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Address } from '#proto/model/address.ts';
import type { PublicKey } from '#proto/model/key.ts';
import type { NodeMessage } from '#proto/model/session.ts';
import type { Instant } from '#proto/model/time.ts';
import { applyChanges as fold } from './decide/apply-changes.ts';
import { type Change, subjectOf } from './decide/change.ts';
import { desiredHost, notices } from './decide/desired.ts';
import { type BfdSession, desiredBfd } from './decide/desired-bfd.ts';
import { diff } from './decide/diff.ts';
import { type Effect, type Event, eventSubject, type ObservedPeer, type PathId, type Turn } from './decide/event.ts';
import type { HostState } from './decide/host.ts';
import { isSafe, replacements, sameInputs } from './decide/pass.ts';
import type { AgentState } from './decide/state.ts';
import { sameSaved } from './decide/restore.ts';
import { step } from './decide/step.ts';
import { nextWake } from './decide/wake.ts';

/** What the loop needs of the world. */
export interface World {
  observe(sysctls: ReadonlyMap<string, string>): Promise<HostState>;
  /** Does what it can; an error per change that failed. */
  apply(
    changes: readonly Change[],
  ): Promise<readonly { readonly change: Change; readonly error: string | undefined }[]>;
  makeKey(name: string): Promise<PublicKey>;
  observePeers(name: string): Promise<ReadonlyMap<PublicKey, ObservedPeer>>;
  observeActivity(): Promise<readonly Address[]>;
  observeLocalAddresses(state: AgentState): Promise<readonly Address[]>;
  send(message: NodeMessage): void;
  setBfd(sessions: ReadonlyMap<PathId, BfdSession>): void;
  kickBfd(path: PathId): void;
  /** Whether first packets are to be noticed. */
  setNoticing(wanted: boolean): void;
  /** The state changed: keep it. */
  save(state: AgentState): void;
}

export interface LoopOptions {
  readonly world: World;
  readonly initial: AgentState;
  /** Effects of making the initial state. */
  readonly effects: readonly Effect[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

export interface Loop {
  readonly post: (event: Event) => void;
  /** The kernel may have changed: look again. */
  readonly look: () => void;
  readonly state: () => AgentState;
  /** What failed in the last pass. */
  readonly faults: () => readonly string[];
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/** After own changes the kernel is read again, but not before the rush is over. */
const verifyMs = 1000;
const periodicMs = 30_000;
const retryMs = 1000;
const shortestSleepMs = 1;

export function createLoop(options: LoopOptions): Loop {
  const { world, clock, random, logger } = options;
  let state = options.initial;
  /** The state of the last pass, of the last BFD sessions, of the last save. */
  let done: AgentState | undefined;
  let watched: AgentState | undefined;
  let saved: AgentState | undefined;
  let picture: HostState | undefined;
  let lookAt = clock.now();
  let faults: readonly string[] = [];
  const queue: Event[] = [];
  let wake: (() => void) | undefined;

  const post = (event: Event): void => {
    queue.push(event);
    wake?.();
  };
  const look = (): void => {
    lookAt = Math.min(lookAt, clock.now() + verifyMs) as Instant;
    wake?.();
  };

  async function sleep(signal: AbortSignal): Promise<void> {
    if (queue.length > 0 || signal.aborted) return;
    const now = clock.now();
    const due = Math.min(nextWake(state, now) ?? Infinity, lookAt, now + periodicMs);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(due - now, shortestSleepMs));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener('abort', wake, { once: true });
      if (queue.length > 0) wake();
    });
    if (wake) signal.removeEventListener('abort', wake);
    wake = undefined;
  }

  /** Steps through the queue, or once without an event; keys are made at once, so that no pass goes without them. */
  async function decide(): Promise<Effect[]> {
    const effects: Effect[] = [];
    do {
      const event = queue.shift() ?? ({ kind: 'tick' } as const);
      const turn: Turn = { now: clock.now(), random, effects: [] };
      logger.trace({ event: event.kind, what: eventSubject(event) }, 'event');
      state = step(state, event, turn);
      for (const effect of turn.effects) await settle(effect, effects);
    } while (queue.length > 0);
    return effects;
  }

  async function settle(effect: Effect, rest: Effect[]): Promise<void> {
    if (effect.kind === 'make-key') {
      const publicKey = await world.makeKey(effect.interface);
      queue.push({ kind: 'key-made', interface: effect.interface, publicKey });
    } else if (effect.kind === 'send') world.send(effect.message);
    else if (effect.kind === 'log') logger[effect.level](effect.fields, effect.message);
    else rest.push(effect);
  }

  async function pass(effects: readonly Effect[]): Promise<void> {
    if (!state.config && state.revoked === undefined) return;
    const now = clock.now();
    const replaced = effects.filter((effect) => effect.kind === 'replace-peer');
    if (!picture || lookAt <= now) await observe();
    else if (done && replaced.length === 0 && sameInputs(done, state)) return;
    const desired = desiredHost(state);
    if (!picture) return;
    const changes = [
      ...diff(picture, desired).filter((change) => isSafe(state, change)),
      ...replacements(state, { desired, picture }, replaced),
    ];
    done = state;
    if (changes.length === 0) {
      faults = [];
      return;
    }
    const results = await world.apply(changes);
    picture = fold(
      picture,
      results.filter((result) => result.error === undefined).map((result) => result.change),
    );
    lookAt = (clock.now() + verifyMs) as Instant;
    report(results);
  }

  async function observe(): Promise<void> {
    picture = await world.observe(desiredHost(state).sysctls);
    lookAt = (clock.now() + periodicMs) as Instant;
    const addresses = await world.observeLocalAddresses(state);
    if (addresses.join() !== state.localAddresses.join()) post({ kind: 'local-addresses', addresses });
  }

  function report(results: Awaited<ReturnType<World['apply']>>): void {
    const failed = results.filter((result) => result.error !== undefined);
    for (const { change } of results.filter((result) => result.error === undefined)) {
      logger.debug({ change: change.kind, what: subjectOf(change) }, 'changed');
    }
    const texts = failed.map(({ change, error }) => `${change.kind} ${subjectOf(change)}: ${error ?? ''}`);
    if (texts.join('\n') !== faults.join('\n')) {
      for (const { change, error } of failed) {
        logger.error({ change: change.kind, what: subjectOf(change), error }, 'change failed');
      }
    }
    faults = texts;
    for (const { change, error } of failed) {
      if (change.kind === 'create-interface' && /address already in use/i.test(error ?? '')) {
        post({ kind: 'port-taken', interface: change.tunnel.name });
      }
    }
  }

  function perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'kick') world.kickBfd(effect.path);
      if (effect.kind === 'inspect-peers') {
        inspect(world.observePeers(effect.interface), (peers) => ({
          kind: 'peers',
          interface: effect.interface,
          peers,
        }));
      }
      if (effect.kind === 'inspect-activity') {
        inspect(world.observeActivity(), (addresses) => ({ kind: 'activity', addresses }));
      }
    }
  }

  function inspect<T>(reading: Promise<T>, toEvent: (value: T) => Event): void {
    reading.then(
      (value) => {
        post(toEvent(value));
      },
      (error: unknown) => {
        // The interface is being made or gone: the next look will tell.
        logger.debug({ error: errorText(error) }, 'look failed');
      },
    );
  }

  async function run(signal: AbortSignal): Promise<void> {
    for (const effect of options.effects) await settle(effect, []);
    while (!signal.aborted) {
      const effects = await decide();
      try {
        await pass(effects);
      } catch (error) {
        picture = undefined;
        lookAt = (clock.now() + retryMs) as Instant;
        const text = errorText(error);
        if (!faults.includes(text)) logger.error({ error: text }, 'pass failed');
        faults = [text];
      }
      if (watched === undefined || state.self.role === 'spoke' || !sameInputs(watched, state)) {
        world.setBfd(desiredBfd(state, clock.now()));
        watched = state;
      }
      world.setNoticing(notices(state));
      perform(effects);
      if (saved === undefined || !sameSaved(saved, state)) world.save(state);
      saved = state;
      await sleep(signal);
    }
  }

  return { post, look, state: () => state, faults: () => faults, run };
}
