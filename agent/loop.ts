// The agent on one page: events -> step (decide/step.ts) -> desired host (decide/desired.ts) -> diff against the kernel's
// picture (decide/diff.ts) -> changes -> kernel (apply/). Events only wake the loop; a lost one costs latency, never
// correctness, as the kernel is read again after every change, on the kernel's own notice, and every half minute.
import type { Clock } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Instant } from '#proto/model/time.ts';
import { applyChanges as fold } from './decide/apply-changes.ts';
import { subjectOf } from './decide/change.ts';
import { desiredHost } from './decide/desired.ts';
import { desiredBfd } from './decide/desired-bfd.ts';
import { diff } from './decide/diff.ts';
import { type Effect, type Event, eventSubject, isForPeer, type Turn } from './decide/event.ts';
import type { HostState } from './decide/host.ts';
import { isSafe, keepUnreadable, replacements, sameInputs, sightsOf, takenPorts } from './decide/pass.ts';
import { type Attempt, dueChanges, type Failures, failureText, longestWait, nextFailures } from './decide/retry.ts';
import type { AgentState } from './decide/state.ts';
import { sameSaved } from './decide/restore.ts';
import { handle, step } from './decide/step.ts';
import { nextWake } from './decide/wake.ts';
import { createLooks } from './looks.ts';
import type { World } from './world.ts';

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
  /** What fails, and is tried again. */
  readonly faults: () => readonly string[];
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/** After own changes the kernel is read again, but not before the rush is over. */
const verifyMs = 1000;
/** On a slow machine looks are rarer: most of the time is for what there is to do. */
const restPerLook = 4;
/** A pass that takes longer holds up what was decided. */
const lateMs = 50;
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
  let lookTook = 0;
  /** Of the passes themselves; how often in a row. */
  let passFault: string | undefined;
  let failedPasses = 0;
  /** Of changes, by what they are about. */
  let failures: Failures = new Map();
  /** Of what was seen. */
  let sights: readonly string[] = [];
  /** Interfaces whose key could not be had. */
  const keyless = new Map<string, { readonly error: string; readonly retryAt: Instant }>();
  const queue: Event[] = [];
  let wake: (() => void) | undefined;

  const post = (event: Event): void => {
    queue.push(event);
    wake?.();
  };
  const lookPause = (): number => Math.max(verifyMs, restPerLook * lookTook);
  const look = (): void => {
    // Its lines come in crowds: one look will see them all.
    const at = (clock.now() + lookPause()) as Instant;
    if (at >= lookAt) return;
    lookAt = at;
    wake?.();
  };

  const looks = createLooks({ world, post, logger });

  async function sleep(signal: AbortSignal): Promise<void> {
    if (queue.length > 0 || signal.aborted) return;
    const now = clock.now();
    const retries = [...keyless.values()].map(({ retryAt }) => retryAt);
    const due = Math.min(nextWake(state, now) ?? Infinity, lookAt, now + periodicMs, ...retries);
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
    for (const [name, { retryAt }] of keyless) if (retryAt <= clock.now()) await makeKey(name);
    do {
      const event = queue.shift() ?? ({ kind: 'tick' } as const);
      const turn: Turn = { now: clock.now(), random, effects: [] };
      logger.trace({ event: event.kind, what: eventSubject(event) }, 'event');
      state = queue.length > 0 ? handle(state, event, turn) : step(state, event, turn);
      for (const effect of turn.effects) await settle(effect, effects);
    } while (queue.length > 0);
    return effects;
  }

  async function settle(effect: Effect, rest: Effect[]): Promise<void> {
    if (effect.kind === 'make-key') await makeKey(effect.interface);
    else if (effect.kind === 'send') world.send(effect.message);
    else if (effect.kind === 'log') logger[effect.level](effect.fields, effect.message);
    else rest.push(effect);
  }

  /** Without its key an interface is left as it is. */
  async function makeKey(name: string): Promise<void> {
    try {
      const publicKey = await world.makeKey(name);
      keyless.delete(name);
      queue.push({ kind: 'key-made', interface: name, publicKey });
    } catch (error) {
      const text = errorText(error);
      if (keyless.get(name)?.error !== text) logger.error({ interface: name, error: text }, 'no key');
      keyless.set(name, { error: text, retryAt: (clock.now() + retryMs) as Instant });
    }
  }

  async function pass(effects: readonly Effect[]): Promise<void> {
    const now = clock.now();
    if (!state.config && state.revoked === undefined) {
      lookAt = (now + periodicMs) as Instant;
      return;
    }
    const replaced = effects.filter(isForPeer);
    if (lookAt <= now || (!picture && passFault === undefined)) await observe();
    else if (!picture) return;
    else if (done && replaced.length === 0 && sameInputs(done, state)) return;
    const desired = desiredHost(state);
    if (!picture) return;
    const seen = picture;
    const wanted = diff(seen, desired).filter((change) => isSafe(state, seen, change));
    const changes = [
      ...dueChanges(wanted, failures, clock.now()),
      ...replacements(state, { desired, picture }, replaced, world.bfdNow).filter((one) => isSafe(state, seen, one)),
    ];
    done = state;
    const results = changes.length === 0 ? [] : await world.apply(changes);
    const before = failures;
    failures = nextFailures(before, wanted, results, clock.now());
    report(results, before);
    const verify = results.some(({ error }) => error === undefined) ? clock.now() + lookPause() : Infinity;
    if (results.length > 0) {
      picture = fold(
        picture,
        results.filter(({ error }) => error === undefined).map(({ change }) => change),
      );
    }
    lookAt = Math.min(lookAt, verify, ...[...failures.values()].map(({ retryAt }) => retryAt)) as Instant;
  }

  async function observe(): Promise<void> {
    const desired = desiredHost(state);
    const began = clock.now();
    picture = keepUnreadable(await world.observe(desired.sysctls), picture);
    lookTook = clock.now() - began;
    lookAt = (began + lookTook + periodicMs) as Instant;
    const taken = takenPorts(picture, desired);
    for (const { name } of taken) post({ kind: 'port-taken', interface: name });
    const texts = sightsOf(picture, taken);
    for (const text of texts) if (!sights.includes(text)) logger.error({ fault: text }, 'interface does not work');
    sights = texts;
    const addresses = await world.observeLocalAddresses(state);
    if (addresses.join() !== state.localAddresses.join()) post({ kind: 'local-addresses', addresses });
  }

  function report(results: readonly Attempt[], before: Failures): void {
    const known = new Set([...before.values()].map(failureText));
    for (const { change, error } of results) {
      if (error === undefined) logger.debug({ change: change.kind, what: subjectOf(change) }, 'changed');
      else {
        if (!known.has(failureText({ change, error }))) {
          logger.error({ change: change.kind, what: subjectOf(change), error }, 'change failed');
        }
        const tunnel = change.kind === 'create-interface' ? change.tunnel : undefined;
        const name = tunnel?.name ?? (change.kind === 'configure-interface' ? change.name : undefined);
        if (name !== undefined && /address already in use/i.test(error)) post({ kind: 'port-taken', interface: name });
      }
    }
  }

  function faults(): string[] {
    return [
      ...(passFault === undefined ? [] : [passFault]),
      ...[...keyless].map(([name, { error }]) => `key of ${name}: ${error}`),
      ...sights,
      ...[...failures.values()].map(failureText),
    ];
  }

  async function run(signal: AbortSignal): Promise<void> {
    for (const effect of options.effects) await settle(effect, []);
    while (!signal.aborted) {
      const began = clock.now();
      const effects = await decide();
      const decided = clock.now();
      try {
        await pass(effects);
        passFault = undefined;
        failedPasses = 0;
      } catch (error) {
        picture = undefined;
        const text = errorText(error);
        if (passFault === text) failedPasses += 1;
        else {
          logger.error({ error: text }, 'pass failed');
          failedPasses = 0;
        }
        passFault = text;
        lookAt = (clock.now() + Math.min(retryMs * 2 ** failedPasses, longestWait)) as Instant;
      }
      if (watched === undefined || state.self.role === 'spoke' || !sameInputs(watched, state)) {
        world.setBfd(desiredBfd(state, clock.now()));
        watched = state;
      }
      if (clock.now() - decided > lateMs) queue.unshift({ kind: 'late', pass: { began, decided } });
      world.attend(state);
      looks.perform(effects);
      if (saved === undefined || !sameSaved(saved, state)) world.save(state);
      saved = state;
      await sleep(signal);
    }
  }

  return { post, look, state: () => state, faults, run };
}
