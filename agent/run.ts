// The agent's composition root: makes every part, connects them, and takes them apart again in reverse.
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '#proto/kit/clock.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import { createLogger, type Logger } from '#proto/kit/log.ts';
import { version } from '#proto/kit/version.ts';
import { parseAddress } from '#proto/model/address.ts';
import type { Endpoint } from '#proto/model/endpoint.ts';
import { milliseconds, seconds, toMilliseconds } from '#proto/model/time.ts';
import { createAddressWatch } from './address-watch.ts';
import { routeSelectors } from './decide/kernel-routes.ts';
import type { Event, PathId, Turn } from './decide/event.ts';
import { notices } from './decide/desired-firewall.ts';
import { restore, type Saved, save } from './decide/restore.ts';
import { type AgentState, initialState } from './decide/state.ts';
import { trace } from './decide/trace.ts';
import { reachLinks } from './decide/transit.ts';
import { createHost, removeAll } from './host.ts';
import { createBfd } from './io/bfd.ts';
import { createHubReach } from './io/hub-reach.ts';
import { countingSession } from './io/counting-session.ts';
import { follow, searchPath } from './io/exec.ts';
import { missingPrograms } from './io/programs.ts';
import { createRegistryAddresses } from './io/registry-addresses.ts';
import { renewWhenDue } from './io/renew.ts';
import { createSession } from './io/session.ts';
import { openStateDir } from './io/state-dir.ts';
import { createStateWriter, moveAside, readState } from './io/state-file.ts';
import { startStatusServer } from './io/status-server.ts';
import { createLoop } from './loop.ts';
import { runMeasuring } from './measuring.ts';
import { createNoticing } from './noticing.ts';
import { monitorKernel } from './observe/kernel-monitor.ts';
import { observeLocalAddresses } from './io/local-addresses.ts';
import { readStatus } from './read-status.ts';
import { choicesOf, registriesOf, sessionEvents } from './registry-session.ts';
import { createRouteWatch } from './route-watch.ts';
import { savedStateFormat } from './saved-state.ts';
import { selfOf, socketPathOf } from './self.ts';
import type { World } from './world.ts';

export interface AgentOptions {
  readonly stateDir: string;
  readonly interfacePrefix?: string;
  readonly runDir?: string;
  readonly logLevel?: string;
}

/** Until the overlay's is known. */
const defaultFallback = seconds(30);
const clock = systemClock;
const random = (): number => randomInt(0x1_0000_0000) / 0x1_0000_0000;

/** Runs until SIGTERM, SIGINT, or a word on the status socket. Throws a ProgramError if it cannot start. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const opened = await openStateDir(options.stateDir);
  if (!opened.ok) throw new ProgramError(opened.fault.message);
  const stateDir = opened.value;
  const logger = createLogger('dmwg-agent', options.logLevel ?? stateDir.config.logLevel);
  const self = selfOf(stateDir.config, options.interfacePrefix ?? 'dmwg');
  const stopping = new AbortController();
  const { signal } = stopping;
  const ending = { tearDown: false };

  const missing = await missingPrograms(self.role, searchPath());
  if (missing !== undefined) throw new ProgramError(missing);
  const stateFile = join(options.stateDir, 'state.json');
  const writer = createStateWriter<Saved>({
    file: stateFile,
    format: savedStateFormat,
    delay: milliseconds(200),
    onError: (error) => {
      logger.error({ file: stateFile, error: errorText(error) }, 'state not saved');
    },
  });
  const session = countingSession(
    createSession({
      registries: registriesOf(stateDir.config, () => loop.state()),
      fallbackTime: () => toMilliseconds(loop.state().config?.fallbackTime ?? defaultFallback),
      identity: stateDir.identity,
      agentVersion: version,
      logger: logger.child({ component: 'session' }),
      clock,
      random,
    }),
  );
  const bfd = createBfd({ logger: logger.child({ component: 'bfd' }), clock, random });
  const hubReach = createHubReach({
    logger: logger.child({ component: 'hub-reach' }),
    onReach: (reach) => {
      loop.post({ kind: 'reach', reach });
    },
  });
  const post = (event: Event): void => {
    loop.post(event);
  };
  const noticing = createNoticing({
    group: self.nflogGroup,
    logger: logger.child({ component: 'noticing' }),
    random,
    post,
  });
  const host = createHost(options.stateDir, self.interfacePrefix);
  const world: World = {
    ...host,
    observeLocalAddresses: (state) => observeLocalAddresses(hubEndpoints(state)),
    send: (message) => void session.send(message),
    setBfd: bfd.setSessions.bind(bfd),
    kickBfd: bfd.kick.bind(bfd),
    bfdNow: (path) => bfd.session(path)?.state,
    reconnect: session.reconnect,
    attend: (state) => {
      noticing.set(notices(state));
      hubReach.set(reachLinks(state), state.hub.up);
    },
    save: (state) => {
      writer.put(save(state));
    },
  };
  const turn: Turn = { now: clock.now(), random, effects: [] };
  const saved = await lastRun(stateFile, logger);
  const initial = saved ? restore(self, saved, turn) : initialState(self);
  /** Of agent.yaml, as it was read last. */
  let settings = stateDir.config;
  const routes = createRouteWatch({
    observe: () => host.observeRoutes(routeSelectors(settings.routing)),
    found: (seen) => {
      loop.post({ kind: 'kernel-routes', routes: seen });
    },
    what: 'the routes of the kernel',
    clock,
    logger: logger.child({ component: 'routes' }),
  });
  const uplinks = createRouteWatch({
    observe: async () => [...(await host.observeUplinks(self.uplinks))],
    found: (seen) => {
      if (self.uplinks.length > 0) loop.post({ kind: 'uplinks', sights: new Map(seen) });
    },
    what: 'the uplinks',
    clock,
    logger: logger.child({ component: 'uplinks' }),
  });
  const registryAddresses = createRegistryAddresses({
    names: () => [...settings.registry, ...(loop.state().config?.registries ?? []).map(({ address }) => address)],
    onFound: (endpoints) => {
      loop.post({ kind: 'registries', endpoints });
    },
  });
  const loop = createLoop({ world, initial, effects: turn.effects, clock, random, logger });
  bfd.onTransition((path, _from, state) => {
    const remoteState = bfd.session(path)?.remoteState ?? 'down';
    loop.post({ kind: 'bfd', path: path as PathId, state, remoteState });
  });

  const stop = (): void => {
    stopping.abort();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const socket = await startStatusServer({
    path: await socketPathOf(options.stateDir, options.runDir),
    status: () => {
      const unread = [routes.fault(), uplinks.fault()].filter((fault) => fault !== undefined);
      const faults = [...loop.faults(), ...unread];
      const registries = choicesOf(stateDir.config, loop.state());
      return readStatus({ clock, loop, bfd, host, faults, counters: session.counters(), registries });
    },
    trace: (text) => {
      const address = parseAddress(text);
      return address.ok ? trace(loop.state(), address.value) : undefined;
    },
    reload: async () => {
      const again = await openStateDir(options.stateDir);
      if (!again.ok) return again.fault.message;
      settings = again.value.config;
      loop.post({ kind: 'configured', routing: settings.routing, exit: settings.exit });
      registryAddresses.look();
      routes.look();
      return undefined;
    },
    stop: (down) => {
      ending.tearDown = down;
      stop();
    },
  });
  logger.info({ node: self.name, role: self.role, version }, 'starting');
  if (saved && saved.interfacePrefix !== self.interfacePrefix) {
    // What the last run made under another name would be in the way: its firewall knows nothing of the new tunnels.
    logger.info({ interfacePrefix: saved.interfacePrefix }, 'removing the interfaces of the former prefix');
    await removeAll(createHost(options.stateDir, saved.interfacePrefix));
  }
  const addresses = createAddressWatch({
    observe: () => world.observeLocalAddresses(loop.state()),
    known: () => loop.state().localAddresses,
    post,
  });
  const onChange = (): void => {
    addresses.look();
    uplinks.look();
    routes.look();
    loop.look();
  };
  const parts = [
    loop.run(signal),
    session.run(signal, sessionEvents(loop)),
    renewWhenDue({ state: stateDir, session, clock, random, logger: logger.child({ component: 'renewal' }) }, signal),
    routes.run(signal),
    uplinks.run(signal),
    runMeasuring({ bfd, state: loop.state, post, clock }, signal),
    registryAddresses.run(signal),
    monitorKernel({ follow, clock, random, onChange }, signal),
  ];
  await Promise.all(parts);
  await noticing.stop();
  hubReach.close();

  await socket.close();
  await writer.flush();
  if (ending.tearDown) {
    bfd.close();
    await removeAll(host);
  }
  logger.info(ending, 'stopped');
}

/** What the last run left; a file that cannot be read is kept aside, and the registry tells everything again. */
async function lastRun(file: string, logger: Logger): Promise<Saved | undefined> {
  const read = await readState(file, savedStateFormat);
  if (read.ok) return read.value;
  const aside = await moveAside(file);
  logger.error({ file: aside, reason: read.fault.message }, 'state file not readable, kept aside');
  return undefined;
}

function hubEndpoints(state: AgentState): Endpoint[] {
  return state.config?.hubs.flatMap((hub) => hub.endpoints) ?? [];
}
