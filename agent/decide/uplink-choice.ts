// By which uplink each tunnel leaves. A tunnel keeps its WireGuard key, its peers and its routes when it moves to another uplink: only
// the mark of its own packets changes, and the hub follows by the next packet that it can authenticate. So nothing has to be
// moved at the other end, whose WireGuard would have a prefix with one key alone.
import type { NodeId } from '#proto/model/names.ts';
import { after, type Instant, type Milliseconds, milliseconds, toMilliseconds } from '#proto/model/time.ts';
import { note, type Turn, warn } from './event.ts';
import { greetReflectors } from './hub-paths.ts';
import { isPoor } from './quality.ts';
import { dropShortcuts } from './shortcuts.ts';
import { type AgentState, type BfdState, type HubPath, multipointName, type OwnInterface, withEntry } from './state.ts';
import type { Probe, UplinkPlace, UplinkSight } from './uplink-state.ts';
import { isUsable, probeKey, rankedUplinks } from './uplinks.ts';

/** A tunnel that was not Up yet by its uplink is given this long, before another uplink that works is taken. */
const patienceMs = 3000;
/** How long uplinks are tried of which no probe knows anything: an older hub answers none. */
const firstTrialMs = 5000;
const lastTrialMs = 60_000;
/** Both ends have withdrawn what goes by direct tunnels by then. */
const clearingMs = 100;

/** An uplink as a tunnel sees it. */
interface Candidate {
  readonly name: string;
  readonly usable: boolean;
  /** Who is meant to be reached is reached by it. */
  readonly up: boolean;
  /** The last change from or to that; 0: there was none. */
  readonly since: Instant;
  /** It works, but others are better. */
  readonly poor: boolean;
}

interface Question {
  /** Best first. */
  readonly candidates: readonly Candidate[];
  readonly place: UplinkPlace;
  /** Nothing comes by the present one. */
  readonly failing: boolean;
  readonly fallback: Milliseconds;
}

/** Finds every tunnel its uplink by what is known now; to be called whenever that or the time has changed. */
export function chooseUplinks(state: AgentState, turn: Turn): AgentState {
  const { self, config } = state;
  if (self.uplinks.length === 0 || !config) return state;
  let next = state;
  let number = 0;
  for (const own of state.interfaces.values()) {
    if (own.kind === 'multipoint') next = placeMultipoint(next, own, turn);
    if (own.kind !== 'hub-tunnel') continue;
    next = placeHubTunnel(next, own, number, turn);
    number += 1;
  }
  const nextAt = nextChoice(next, turn);
  return nextAt === next.uplinks.nextAt ? next : { ...next, uplinks: { ...next.uplinks, nextAt } };
}

/** A hub is reached by an uplink, or not any more. */
export function probeBfd(state: AgentState, key: string, bfd: BfdState, turn: Turn): AgentState {
  const old = state.uplinks.probes.get(key);
  if (old?.bfd === bfd) return state;
  const turned = (old?.bfd === 'up') !== (bfd === 'up');
  const probe: Probe = { bfd, since: turned ? turn.now : (old?.since ?? (0 as Instant)) };
  if (turned) {
    const [hub, uplink] = splitKey(key);
    const fields = { uplink, hub: state.hubs.get(hub as NodeId)?.hub.name };
    if (bfd === 'up') note(turn, 'uplink reaches hub', fields);
    else warn(turn, 'uplink does not reach hub', fields);
  }
  return { ...state, uplinks: { ...state.uplinks, probes: withEntry(state.uplinks.probes, key, probe) } };
}

/** What the kernel has of the uplinks. Where something of one changed, the other ends must hear of it by a packet. */
export function sawUplinks(state: AgentState, sights: ReadonlyMap<string, UplinkSight>, turn: Turn): AgentState {
  const before = state.uplinks.sights;
  const changed = state.self.uplinks
    .map(({ name }) => name)
    .filter((name) => !sameSight(before?.get(name), sights.get(name)));
  if (before && changed.length === 0) return state;
  for (const name of changed) {
    const sight = sights.get(name);
    note(turn, 'uplink', { uplink: name, device: sight?.device, addresses: sight?.addresses, usable: isUsable(sight) });
    kickAll(state, name, turn);
  }
  const multipoint = state.uplinks.places.get(multipointName(state.self))?.uplink;
  if (before && multipoint !== undefined && changed.includes(multipoint)) greetReflectors(state, turn);
  return { ...state, uplinks: { ...state.uplinks, sights } };
}

function placeHubTunnel(state: AgentState, own: OwnInterface, number: number, turn: Turn): AgentState {
  const { uplinks, self, hubs } = state;
  const ranked = rankedUplinks(self, number);
  const candidates = ranked.map(({ name }): Candidate => {
    const probe = own.hub === undefined ? undefined : uplinks.probes.get(probeKey(own.hub, name));
    const poor = own.hub !== undefined && isPoor(state, `uplink:${probeKey(own.hub, name)}`);
    return { ...candidate(state, name, probe ? [probe] : []), poor };
  });
  const place = uplinks.places.get(own.name) ?? firstPlace(candidates, turn);
  const path = own.hub === undefined ? undefined : hubs.get(own.hub);
  const failing = path !== undefined && path.place !== 'none' && path.bfd !== 'up' && isLost(place, path, turn);
  const to = nextUplink({ candidates, place, failing, fallback: fallbackOf(state) }, turn.now);
  if (to === undefined) return put(state, own.name, place);
  announce(state, own, place, to, turn);
  if (path) turn.effects.push({ kind: 'kick', path: `hub:${path.hub.node}` });
  return put(state, own.name, moved(place, to, candidates, turn));
}

/**
 * Direct tunnels go together, as they have one interface. One that merely goes back is emptied first: what the other ends send
 * arrives as long as they send it where the tunnel was, but their NATs take nothing from where it is then.
 */
function placeMultipoint(state: AgentState, own: OwnInterface, turn: Turn): AgentState {
  const { uplinks, self } = state;
  const candidates = rankedUplinks(self, 0).map(({ name }) => {
    const probes = [...state.hubs.keys()].flatMap((hub) => uplinks.probes.get(probeKey(hub, name)) ?? []);
    const up = [...state.hubs.keys()].filter((hub) => uplinks.probes.get(probeKey(hub, name))?.bfd === 'up');
    const poor = up.length > 0 && up.every((hub) => isPoor(state, `uplink:${probeKey(hub, name)}`));
    return { ...candidate(state, name, probes), poor };
  });
  const place = uplinks.places.get(own.name) ?? firstPlace(candidates, turn);
  if (place.next) {
    if (place.next.at > turn.now) return state;
    return moveMultipoint(state, own, moved(place, place.next.uplink, candidates, turn), turn);
  }
  const present = candidates.find(({ name }) => name === place.uplink);
  // A hub that died is no reason to break direct tunnels that work.
  const works = present?.up === true || carries(state, place.uplink);
  const since = present?.since ?? place.since;
  const failing = !works && isLost(place, { since, everUp: since > 0 }, turn);
  const to = nextUplink({ candidates, place, failing, fallback: fallbackOf(state) }, turn.now);
  if (to === undefined) return put(state, own.name, place);
  announce(state, own, place, to, turn);
  if (failing || present?.usable !== true) {
    return moveMultipoint(state, own, moved(place, to, candidates, turn), turn);
  }
  const cleared = dropShortcuts(state, [...state.shortcuts.keys()], turn);
  return put(cleared, own.name, { ...place, next: { uplink: to, at: after(turn.now, milliseconds(clearingMs)) } });
}

/** Whether anything comes by the uplink of the multipoint interface, besides what its probe gets. */
function carries({ hubs, remotes, uplinks }: AgentState, uplink: string): boolean {
  const byHub = [...hubs.values()].some(
    (path) => path.bfd === 'up' && uplinks.places.get(path.interface)?.uplink === uplink,
  );
  return byHub || [...remotes.values()].some(({ bfd }) => bfd === 'up');
}

function moveMultipoint(state: AgentState, own: OwnInterface, place: UplinkPlace, turn: Turn): AgentState {
  const next = put(state, own.name, place);
  greetReflectors(next, turn);
  for (const [node, { phase }] of next.remotes) {
    if (phase === 'direct' || phase === 'recovering') turn.effects.push({ kind: 'kick', path: `direct:${node}` });
  }
  // The registry is reached by the same uplink (uplink-host.ts).
  turn.effects.push({ kind: 'reconnect' });
  return next;
}

/** The uplink to move to; undefined: stay. */
function nextUplink({ candidates: all, place, failing, fallback }: Question, now: Instant): string | undefined {
  const candidates = [...all.filter(({ poor }) => !poor), ...all.filter(({ poor }) => poor)];
  const present = candidates.find(({ name }) => name === place.uplink);
  const others = candidates.filter((one) => one !== present && one.usable);
  if (failing || present?.usable !== true) {
    const working = others.find(({ up }) => up);
    if (working) return working.name;
    if (present?.usable !== true) return others[0]?.name;
    // No probe was ever answered by them: it may be that nobody answers probes.
    return trialEnd(place) <= now ? others.find(({ since }) => since === 0)?.name : undefined;
  }
  const better = candidates.slice(0, candidates.indexOf(present));
  return better.find((one) => one.usable && one.up && now - one.since >= fallback)?.name;
}

function candidate({ uplinks }: AgentState, name: string, probes: readonly Probe[]): Omit<Candidate, 'poor'> {
  const up = probes.filter(({ bfd }) => bfd === 'up').map(({ since }) => since);
  return {
    name,
    usable: isUsable(uplinks.sights?.get(name)),
    up: up.length > 0,
    since: (up.length > 0 ? Math.min(...up) : Math.max(0, ...probes.map(({ since }) => since))) as Instant,
  };
}

/** Whether what is not Up was Up by this uplink, or has had its time to come Up. */
function isLost(place: UplinkPlace, { since, everUp }: Pick<HubPath, 'since' | 'everUp'>, { now }: Turn): boolean {
  return (everUp && since > place.since) || now - Math.max(place.since, since) >= patienceMs;
}

function firstPlace(candidates: readonly Candidate[], { now }: Turn): UplinkPlace {
  const first = candidates.find(({ usable }) => usable) ?? candidates[0];
  return { uplink: first?.name ?? '', since: now, trials: 0, next: undefined };
}

function moved(place: UplinkPlace, to: string, candidates: readonly Candidate[], { now }: Turn): UplinkPlace {
  const known = candidates.find(({ name }) => name === to)?.up === true;
  return { uplink: to, since: now, trials: known ? 0 : place.trials + 1, next: undefined };
}

function trialEnd({ since, trials }: UplinkPlace): Instant {
  return after(since, milliseconds(Math.min(firstTrialMs * 2 ** Math.min(trials, 10), lastTrialMs)));
}

function put(state: AgentState, name: string, place: UplinkPlace): AgentState {
  if (state.uplinks.places.get(name) === place) return state;
  return { ...state, uplinks: { ...state.uplinks, places: withEntry(state.uplinks.places, name, place) } };
}

function announce(state: AgentState, own: OwnInterface, place: UplinkPlace, to: string, turn: Turn): void {
  const hub = own.hub === undefined ? undefined : state.hubs.get(own.hub)?.hub.name;
  note(turn, 'tunnel moves to another uplink', { interface: own.name, hub, from: place.uplink, to });
}

/** A packet by every tunnel of an uplink. */
function kickAll({ hubs, uplinks }: AgentState, uplink: string, turn: Turn): void {
  for (const [node, path] of hubs) {
    if (path.place === 'none') continue;
    turn.effects.push({ kind: 'kick', path: `uplink:${probeKey(node, uplink)}` });
    if (uplinks.places.get(path.interface)?.uplink === uplink) turn.effects.push({ kind: 'kick', path: `hub:${node}` });
  }
}

function nextChoice(state: AgentState, { now }: Turn): Instant | undefined {
  const moments: (Instant | undefined)[] = [];
  for (const place of state.uplinks.places.values()) {
    moments.push(place.next?.at, after(place.since, milliseconds(patienceMs)), trialEnd(place));
  }
  for (const { since } of state.uplinks.probes.values()) moments.push(after(since, fallbackOf(state)));
  const coming = moments.filter((moment): moment is Instant => moment !== undefined && moment > now);
  return coming.length === 0 ? undefined : (Math.min(...coming) as Instant);
}

function fallbackOf({ config }: AgentState): Milliseconds {
  return config ? toMilliseconds(config.fallbackTime) : milliseconds(0);
}

function sameSight(a: UplinkSight | undefined, b: UplinkSight | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function splitKey(key: string): [string, string] {
  const colon = key.indexOf(':');
  return [key.slice(0, colon), key.slice(colon + 1)];
}
