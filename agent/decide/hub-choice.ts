// Which hubs a node has tunnels to, and by which one a spoke's traffic goes: NHS choice as in DMVPN. In each cluster the best
// `maxConnections` hubs by priority are connected. One that fails is replaced by the next one at once, and goes on being
// probed; it takes its place back only after it has been Up for the fallback time, so that a hub that flaps carries nothing.
import type { NodeId } from '#proto/model/names.ts';
import type { HubConfig } from '#proto/model/session.ts';
import { after, type Instant, type Milliseconds, milliseconds, toMilliseconds } from '#proto/model/time.ts';
import { note, type Turn } from './event.ts';
import { isPoorHub } from './quality.ts';
import { sharingWith } from './load-sharing.ts';
import type { AgentState, HubPath } from './state.ts';

/** A tunnel that does not come Up within this time gets company by the next hub's. */
const patienceMs = 3000;
/** A tunnel is kept for at least so long after its hub lost its place: what is on its way by it still arrives. */
const leastLingerMs = 2000;
/** Of hubs that come Up for the first time so soon after each other, the first one has no right to the place. */
const togetherMs = 2000;
const firstRepairMs = 250;

interface Rules {
  readonly now: Instant;
  readonly fallback: Milliseconds;
  /** Places in a cluster. */
  readonly places: number;
  /** There is another hub than those that are to be stopped. */
  readonly relieved: boolean;
  /** Whether it works, but is lossy or slow. */
  readonly isPoor: (path: HubPath) => boolean;
}

/** A hub without a tunnel. */
export function spareHub(hub: HubConfig, name: string, now: Instant): HubPath {
  return {
    hub,
    interface: name,
    place: 'none',
    expectedUntil: undefined,
    closeAt: undefined,
    bfd: 'down',
    since: now,
    everUp: false,
    returned: false,
    repairAt: undefined,
    repairs: 0,
    reception: undefined,
  };
}

/** The same with a tunnel that begins anew, in Down. */
export function openTunnel({ hub, interface: name }: HubPath, now: Instant): HubPath {
  return {
    ...spareHub(hub, name, now),
    place: 'probed',
    expectedUntil: after(now, milliseconds(patienceMs)),
    repairAt: after(now, milliseconds(firstRepairMs)),
  };
}

/** Gives every hub its place by what is known now; to be called whenever that or the time has changed. */
export function chooseHubs(state: AgentState, turn: Turn): AgentState {
  if (!state.config) return state;
  const { maxConnections, fallbackTime } = state.config;
  const isHub = state.self.role === 'hub';
  // A hub has a tunnel to every other one, and none of them is its way to everything.
  const places = isHub || maxConnections === 0 ? Infinity : maxConnections;
  const relieved = !isHub && [...state.hubs.values()].some((path) => path.place === 'connected' && !path.hub.draining);
  const rules = {
    now: turn.now,
    fallback: toMilliseconds(fallbackTime),
    places,
    relieved,
    isPoor: (path: HubPath) => isPoorHub(state, path),
  };
  const changed = new Map<NodeId, HubPath>();
  for (const cluster of clustersOf(state.hubs)) {
    for (const path of arrange(cluster, rules)) {
      const old = state.hubs.get(path.hub.node);
      if (path !== old) changed.set(path.hub.node, path);
      if (path.place !== old?.place)
        note(turn, placeNotes[path.place], { hub: path.hub.name, interface: path.interface });
    }
  }
  const hubs = changed.size === 0 ? state.hubs : new Map([...state.hubs, ...changed]);
  const active = isHub ? undefined : chooseActive([...hubs.values()], state.activeHub, rules);
  if (active && active.hub.node !== state.activeHub) {
    note(turn, 'active hub', { hub: active.hub.name, interface: active.interface });
  }
  const equals = new Map([...hubs].filter(([, path]) => rules.isPoor(path) === (active && rules.isPoor(active))));
  const sharing = sharingWith(state, active, equals, (path, current) => mayReplace(path, current, rules));
  if (sharing !== state.sharing) {
    note(turn, 'hubs that share', {
      hubs: [active?.hub.node, ...sharing].map((node) => node && hubs.get(node)?.hub.name),
    });
  }
  const hubChoiceAt = nextChoice(hubs, active, rules);
  const same = hubs === state.hubs && active?.hub.node === state.activeHub && hubChoiceAt === state.hubChoiceAt;
  return same && sharing === state.sharing
    ? state
    : { ...state, hubs, activeHub: active?.hub.node, sharing, hubChoiceAt };
}

const placeNotes = { connected: 'hub connected', probed: 'hub probed', none: 'hub tunnel closed' } as const;

/** When the choice may be another one though nothing happens. */
function nextChoice(
  hubs: ReadonlyMap<NodeId, HubPath>,
  active: HubPath | undefined,
  { now, fallback }: Rules,
): Instant | undefined {
  const moments: (Instant | undefined)[] = [];
  for (const path of hubs.values()) {
    moments.push(path.closeAt);
    if (path.bfd !== 'up') moments.push(path.expectedUntil);
    else if (path !== active) moments.push(after(path.since, fallback));
  }
  const coming = moments.filter((moment): moment is Instant => moment !== undefined && moment > now);
  return coming.length === 0 ? undefined : (Math.min(...coming) as Instant);
}

function clustersOf(hubs: ReadonlyMap<NodeId, HubPath>): HubPath[][] {
  const clusters = new Map<number, HubPath[]>();
  for (const path of hubs.values()) {
    const cluster = clusters.get(path.hub.cluster);
    if (cluster) cluster.push(path);
    else clusters.set(path.hub.cluster, [path]);
  }
  return [...clusters.values()];
}

/** The hubs of one cluster, each in its place. */
function arrange(cluster: readonly HubPath[], rules: Rules): HubPath[] {
  const connected = connectedOf(cluster, rules);
  const ranked = [...cluster].sort(
    (a, b) =>
      byRank(a, b) ||
      Number(connected.has(b)) - Number(connected.has(a)) ||
      // Of equals, those that have a tunnel.
      Number(b.place !== 'none') - Number(a.place !== 'none') ||
      byNode(a, b),
  );
  let better = 0;
  let promising = 0;
  return ranked.map((path) => {
    if (connected.has(path)) {
      better += 1;
      promising += 1;
      return path.place === 'connected' && path.closeAt === undefined
        ? path
        : { ...path, place: 'connected', closeAt: undefined };
    }
    const leaves = path.hub.draining && rules.relieved;
    if (better >= rules.places || leaves || path.hub.publicKey === undefined) return withdraw(path, rules);
    const next = path.place !== 'none' ? probed(path) : promising < rules.places ? openTunnel(path, rules.now) : path;
    if (next.place !== 'none' && (next.bfd === 'up' || (next.expectedUntil ?? 0) > rules.now)) promising += 1;
    return next;
  });
}

/** Those that are Up and have a place: free places are taken at once, others only after the fallback time. */
function connectedOf(cluster: readonly HubPath[], rules: Rules): ReadonlySet<HubPath> {
  const up = cluster
    .filter((path) => path.bfd === 'up' && !(path.hub.draining && rules.relieved))
    .sort((a, b) => byRank(a, b) || byNode(a, b));
  const waiting = up.filter((path) => path.place !== 'connected');
  // Fewer places than before: the worst ones go.
  const connected = up.filter((path) => path.place === 'connected').slice(0, rules.places);
  for (const path of waiting) {
    if (connected.length < rules.places) connected.push(path);
    else {
      const worst = connected.reduce((a, b) => (byRank(a, b) <= 0 ? b : a));
      if (byRank(path, worst) < 0 && mayReplace(path, worst, rules)) connected[connected.indexOf(worst)] = path;
    }
  }
  return new Set(connected);
}

function mayReplace(better: HubPath, worse: HubPath, { now, fallback }: Rules): boolean {
  const together = !better.returned && better.since - worse.since <= togetherMs;
  return together || (worse.hub.draining && !better.hub.draining) || now - better.since >= fallback;
}

/** Has or had a tunnel, and no place. */
function probed(path: HubPath): HubPath {
  return path.place === 'probed' && path.closeAt === undefined
    ? path
    : { ...path, place: 'probed', closeAt: undefined };
}

/**
 * There are enough better ones. The tunnel stays for as long as other spokes may need to return to the better hub, too: until
 * then they send by this one.
 */
function withdraw(path: HubPath, { now, fallback }: Rules): HubPath {
  if (path.place === 'none') return path;
  // Everybody leaves a hub that is to be stopped, and at once.
  const linger = path.hub.draining ? leastLingerMs : Math.max(fallback, leastLingerMs);
  const closeAt = path.closeAt ?? after(now, milliseconds(linger));
  if (closeAt <= now) return spareHub(path.hub, path.interface, now);
  return path.place === 'probed' && path.closeAt !== undefined ? path : { ...path, place: 'probed', closeAt };
}

/** The best connected hub of all clusters. With none the present one stays: a hub whose agent died goes on forwarding. */
function chooseActive(paths: readonly HubPath[], present: NodeId | undefined, rules: Rules): HubPath | undefined {
  const current = paths.find((path) => path.hub.node === present && path.place !== 'none');
  const connected = paths.filter((path) => path.place === 'connected');
  if (connected.length === 0)
    return (
      current ??
      best(
        paths.filter((path) => path.place !== 'none'),
        rules,
      )
    );
  if (current?.place !== 'connected') return best(connected, rules);
  const better = (path: HubPath): boolean =>
    (rules.isPoor(current) && !rules.isPoor(path)) || mayReplace(path, current, rules);
  return best(
    connected.filter((path) => path === current || better(path)),
    rules,
    current,
  );
}

function best(paths: readonly HubPath[], { isPoor }: Rules, current?: HubPath): HubPath | undefined {
  return [...paths].sort(
    (a, b) =>
      Number(a.hub.draining) - Number(b.hub.draining) ||
      Number(isPoor(a)) - Number(isPoor(b)) ||
      a.hub.cluster - b.hub.cluster ||
      a.hub.priority - b.hub.priority ||
      Number(b === current) - Number(a === current) ||
      byNode(a, b),
  )[0];
}

/** Within a cluster. */
function byRank({ hub: a }: HubPath, { hub: b }: HubPath): number {
  return Number(a.draining) - Number(b.draining) || a.priority - b.priority;
}

function byNode(a: HubPath, b: HubPath): number {
  return a.hub.node < b.hub.node ? -1 : 1;
}
