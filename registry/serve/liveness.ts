/** Milliseconds of silence after which the other end is asked; agents say something every 3 s by themselves. */
const silence = 4000;
/** Milliseconds for its answer. */
const answerWithin = 3000;
const lookEvery = 1000;

/** The other end of a session. */
export interface Watched {
  /** Octets that came from it; undefined: it is gone already. */
  heard(): number | undefined;
  /** Whatever it answers will do. */
  ask(): void;
  /** It is dead, or the path to it. */
  giveUp(): void;
}

interface State {
  heard: number | undefined;
  /** Since when it is silent, or was asked. */
  since: number;
  asked: boolean;
}

/**
 * Ends the sessions whose other end is silent. A registry that was too busy to listen blames nobody: before it looks it reads what has
 * arrived meanwhile. HTTP/2's keepalive in the gRPC library does not, so that whoever is busy for two seconds loses all sessions,
 * and is busy with their return.
 */
export class Liveness {
  readonly #watched = new Map<Watched, State>();
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  watch(one: Watched): void {
    this.#watched.set(one, { heard: one.heard(), since: this.#now(), asked: false });
    // After timers the loop reads its sockets, and then comes to what is immediate.
    this.#timer ??= setInterval(() => setImmediate(this.#look.bind(this)), lookEvery).unref();
  }

  unwatch(one: Watched): void {
    this.#watched.delete(one);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const now = this.#now();
    for (const [one, state] of this.#watched) {
      if (hasSpoken(one, state)) Object.assign(state, { since: now, asked: false });
      else if (!state.asked && now - state.since >= silence) {
        Object.assign(state, { since: now, asked: true });
        one.ask();
      } else if (state.asked && now - state.since >= answerWithin) {
        this.unwatch(one);
        one.giveUp();
      }
    }
  }
}

/** Since the last look. */
function hasSpoken(one: Watched, state: State): boolean {
  const heard = one.heard();
  const more = heard !== state.heard;
  state.heard = heard;
  return more || heard === undefined;
}
