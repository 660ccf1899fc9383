// dmwg-registry: exit codes, and the one place where its parts are put together.
import { randomBytes } from 'node:crypto';
import { readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { CommanderError } from 'commander';
import { systemClock } from '#proto/kit/clock.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import { version } from '#proto/kit/version.ts';
import { seconds } from '#proto/model/time.ts';
import { transaction } from '#registry/decide/node.ts';
import type { RegistryContext } from '#registry/serve/context.ts';
import { Events } from '#registry/serve/events.ts';
import { HoldingClock } from '#registry/serve/holding-clock.ts';
import { Metrics } from '#registry/serve/metrics.ts';
import { serve } from '#registry/serve/start.ts';
import { overlaySeed, saveRegistryKeys, type StateDir } from '#registry/serve/state-dir.ts';
import { RegistryCertificate } from '#registry/serve/tls.ts';
import { Traffic } from '#registry/serve/traffic.ts';
import { startEmbeddedEtcd } from '#registry/store/embedded-etcd.ts';
import type { Store } from '#registry/store/port.ts';
import { openStore } from '#registry/store/store.ts';
import { backup } from './backup.ts';
import { reachEtcd } from './etcd-access.ts';
import { restore } from './restore.ts';
import { type Options, parseEtcd, program, type Settings, settle } from './settings.ts';

/** Nodes renew when a third is left. */
const nodeValidity = seconds(90 * 86_400);

async function run(options: Options): Promise<void> {
  setLogVerbosity(logVerbosity.NONE);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      stop.abort();
    });
  }
  const settings = await settle(options);
  // Stop is the reverse of start.
  const undo: (() => Promise<void>)[] = [];
  try {
    await start(settings, stop.signal, undo);
    settings.log.info('ready');
    await aborted(stop.signal);
    settings.log.info('stopping');
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

async function runBackup(file: string, options: Options): Promise<void> {
  setLogVerbosity(logVerbosity.NONE);
  process.stdout.write(`${await backup(file, { ...options, logLevel: 'error' })}\n`);
}

async function runRestore(file: string, options: Options): Promise<void> {
  setLogVerbosity(logVerbosity.NONE);
  const etcd = parseEtcd(options.etcd);
  process.stdout.write(`${await restore(file, { ...options, etcd, logLevel: 'error' })}\n`);
}

async function start(settings: Settings, signal: AbortSignal, undo: (() => Promise<void>)[]): Promise<void> {
  const { state, log, listen, http } = settings;
  const addresses = [state.config.registryAddress];
  const self = {
    id: randomBytes(8).toString('hex'),
    address: settings.advertise,
    public: settings.public,
    joinedAt: addresses,
  };
  const etcd = await reachEtcd(
    { dir: state.path, urls: settings.etcd, tls: state.config.etcdTls, log },
    startEmbeddedEtcd,
  );
  undo.push(() => etcd.stop());
  const store = await openStore({
    endpoints: etcd.endpoints,
    ...(etcd.credentials && { credentials: etcd.credentials }),
    overlay: state.config.overlay,
    replica: self,
    logger: log,
    clock: systemClock,
  });
  undo.push(() => store.close());
  await seedOverlay(store, state);

  const certificate = new RegistryCertificate({
    ca: state.ca,
    initial: state.registry,
    clock: systemClock,
    save: (material) => saveRegistryKeys(state.path, material),
  });
  const traffic = new Traffic(systemClock, log);
  const context: RegistryContext = {
    overlay: state.config.overlay,
    self,
    store,
    ca: state.ca,
    addresses,
    nodeValidity,
    clock: new HoldingClock(systemClock, store),
    log,
    events: new Events(systemClock, log),
    traffic,
    metrics: new Metrics(() => traffic.total, {
      nodes: { help: 'Enrolled nodes', read: () => store.snapshot().nodes.size },
      bindings: { help: 'Bindings', read: () => store.snapshot().bindings.size },
      sessions: { help: 'Sessions at this replica', read: () => sessions() },
      unwritten_answers: { help: 'Nodes whose answers are not in etcd yet', read: () => unwritten() },
      store_healthy: { help: '1 while etcd answers', read: () => (store.healthy() ? 1 : 0) },
    }),
  };
  let sessions = (): number => 0;
  let unwritten = (): number => 0;
  if (signal.aborted) return;
  const serving = await serve(context, {
    certificate,
    listen,
    socket: join(state.path, 'registry.sock'),
    http,
    descriptors: await readDescriptors(),
  });
  sessions = () => serving.sessions.open.size;
  unwritten = () => serving.answers.unwritten;
  undo.push(() => serving.stop());
  context.events.add('registry.started', '', `version ${version}, replica ${self.id}`);
}

/**
 * An empty store starts with the settings of registry.yaml; after that the store has them. One with nodes and without settings was damaged,
 * or is being restored.
 */
async function seedOverlay(store: Store, state: StateDir): Promise<void> {
  const { overlay, nodes, tokens } = store.snapshot();
  if (overlay || nodes.size > 0 || tokens.size > 0) return;
  const record = overlaySeed(state.config);
  const stored = await store.commit(transaction({ absent: [{ kind: 'overlay' }], put: [{ kind: 'overlay', record }] }));
  if (!stored.ok && stored.fault.code !== 'conflict')
    throw new ProgramError(`cannot store the overlay: ${stored.fault.message}`);
}

/** Beside the bundle, or in the source tree; without them there is no reflection. */
async function readDescriptors(): Promise<Uint8Array | undefined> {
  const here = dirname(await realpath(process.argv[1] ?? '.'));
  for (const path of ['../proto/descriptors.binpb', '../proto/gen/descriptors.binpb']) {
    const content = await readFile(join(here, path)).catch(() => undefined);
    if (content) return content;
  }
  return undefined;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((done) => {
    signal.addEventListener(
      'abort',
      () => {
        done();
      },
      { once: true },
    );
  });
}

async function main(): Promise<number> {
  try {
    await program({ run, backup: runBackup, restore: runRestore }).parseAsync();
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      process.stderr.write(`${error.message.replace(/^error: /, 'dmwg-registry: ')} (see --help)\n`);
      return 2;
    }
    process.stderr.write(`dmwg-registry: ${errorText(error)}\n`);
    return error instanceof ProgramError ? error.exitCode : 1;
  }
}

void main().then((code) => process.exit(code));
