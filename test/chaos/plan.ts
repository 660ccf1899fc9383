// What goes wrong, and when: a pure function of a seed, so that a seed replays. Who carries it out is faults.ts.
// Times are milliseconds.

export interface Members {
  readonly spokes: readonly string[];
  readonly hubs: readonly string[];
  /** Each has a member of etcd beside its replica. */
  readonly registries: readonly string[];
  /** Spokes that share the link of another one, which stands for both. */
  readonly behind: Readonly<Record<string, string>>;
}

export type Fault =
  /** `cut-power`: its whole machine, of which only the state dir is left. Started again at the end. */
  | { readonly kind: 'kill-agent' | 'freeze-agent' | 'cut-power'; readonly node: string }
  | { readonly kind: 'kill-registry' | 'freeze-registry' | 'kill-etcd' | 'freeze-etcd'; readonly registry: string }
  /** Nothing passes between the two, both ways. */
  | { readonly kind: 'cut'; readonly between: readonly [string, string] }
  /** Nothing passes between it and anybody. */
  | { readonly kind: 'isolate'; readonly host: string }
  /** In seconds. */
  | { readonly kind: 'set-clock'; readonly host: string; readonly offset: number };

export interface Incident {
  /** From the beginning of its round. */
  readonly at: number;
  readonly lasts: number;
  readonly fault: Fault;
}

/** Incidents that overlap. A round ends when all is mended. */
export type Round = readonly Incident[];

const mostAtOnce = 3;
const longestDelay = 2000;
const shortest = 1500;
const longest = 6000;

export function planOf(seed: number, rounds: number, members: Members): readonly Round[] {
  const random = randomFrom(seed);
  return Array.from({ length: rounds }, () => {
    const count = 1 + Math.floor(random() * mostAtOnce);
    const round = Array.from({ length: count }, () => incident(random, members));
    // A program has one fault at a time.
    return round.filter(
      (one, index) => round.findIndex((other) => subject(other.fault) === subject(one.fault)) === index,
    );
  });
}

/** What a fault befalls. */
export function subject(fault: Fault): string {
  switch (fault.kind) {
    case 'kill-agent':
    case 'freeze-agent':
    case 'cut-power':
      return `agent of ${fault.node}`;
    case 'kill-registry':
    case 'freeze-registry':
      return `registry at ${fault.registry}`;
    case 'kill-etcd':
    case 'freeze-etcd':
      return `etcd at ${fault.registry}`;
    case 'cut':
      return `way between ${[...fault.between].sort().join(' and ')}`;
    case 'isolate':
      return `link of ${fault.host}`;
    case 'set-clock':
      return `clock of ${fault.host}`;
  }
}

export function describe(round: Round): string {
  return round
    .map(({ at, lasts, fault }) => {
      const offset = fault.kind === 'set-clock' ? ` by ${String(fault.offset)} s` : '';
      return `${fault.kind} (${subject(fault)}${offset}) at ${String(at)} ms for ${String(lasts)} ms`;
    })
    .join('; ');
}

function incident(random: () => number, { spokes, hubs, registries, behind }: Members): Incident {
  const linked = spokes.filter((name) => !(name in behind));
  const pick = <T>(list: readonly T[]): T => {
    const found = list[Math.floor(random() * list.length)];
    if (found === undefined) throw new Error('nothing to choose from');
    return found;
  };
  const faults: readonly (() => Fault)[] = [
    () => ({ kind: pick(['kill-agent', 'freeze-agent', 'cut-power'] as const), node: pick([...spokes, ...hubs]) }),
    () => ({ kind: pick(['kill-registry', 'freeze-registry'] as const), registry: pick(registries) }),
    () => ({ kind: pick(['kill-etcd', 'freeze-etcd'] as const), registry: pick(registries) }),
    () => {
      const one = pick([...linked, ...hubs, ...registries]);
      return { kind: 'cut', between: [one, pick([...linked, ...hubs, ...registries].filter((name) => name !== one))] };
    },
    () => ({ kind: 'isolate', host: pick([...linked, ...hubs, ...registries]) }),
    () => ({ kind: 'set-clock', host: pick([...spokes, ...hubs, ...registries]), offset: pick([3600, -3600]) }),
  ];
  const fault = pick(faults)();
  return {
    at: Math.floor(random() * longestDelay),
    lasts: shortest + Math.floor(random() * (longest - shortest)),
    fault,
  };
}

/** Numbers of [0, 1): mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
