// The programs of dmwg, running on the hosts of a lab: one overlay with its registry and agents, as the tests see it.
// Everything goes through the commands and the JSON that users have; nothing of agent/ or registry/ is imported.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Agent, createAgent } from './lab/agent.ts';
import type { Lab } from './lab/lab.ts';
import type { Finished } from './lab/process.ts';
import { binary, createService, type Service } from './lab/service.ts';
import { slowness, until } from './poll.ts';

export interface JoinOptions {
  readonly role?: 'spoke' | 'hub';
  readonly prefixes?: readonly string[];
  readonly endpoint?: string;
  /** What agent.yaml becomes before the agent is started. */
  readonly configure?: (agentYaml: string) => string;
  /** Of its agent, beside the overlay's. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Overlay {
  readonly lab: Lab;
  readonly registry: Service;
  /** Where the registry listens: HOST:PORT. */
  readonly address: string;
  /** Runs dmwg as the administrator, on the registry's host. Any exit status is a result. */
  admin(...argv: string[]): Promise<Finished>;
  /** The JSON that an administrator's command prints. The command must succeed. */
  ask(...argv: string[]): Promise<unknown>;
  token(...argv: string[]): Promise<string>;
  /** A fresh directory for a node's state. */
  nodeDir(name: string): string;
  /** Enrols the host and starts its agent. */
  join(host: string, options?: JoinOptions): Promise<Agent>;
  agents(): readonly Agent[];
  /** All join tokens made so far. */
  tokens(): readonly string[];
  /** Waits until every agent has its session and every spoke a hub. */
  settled(): Promise<void>;
  dispose(): Promise<void>;
}

export interface OverlayOptions {
  /** The host of the registry, and its address there. */
  readonly on?: string;
  readonly address?: string;
  /** More arguments of `dmwg init`. */
  readonly init?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Of the agents (debug by default) and the registry (info by default). */
  readonly logLevel?: 'trace' | 'debug' | 'info';
  readonly registryArguments?: readonly string[];
  /** Of the registry, beside `env`. */
  readonly registryEnv?: Readonly<Record<string, string>>;
  readonly agentArguments?: readonly string[];
  /** What must be there before the registry starts; gets a directory that goes with the overlay. */
  readonly before?: (dir: string) => Promise<void>;
}

/** Makes the overlay and starts its registry. */
export async function createOverlay(lab: Lab, options: OverlayOptions = {}): Promise<Overlay> {
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-test-'));
  const env = options.env ?? {};
  const host = lab.host(options.on ?? 'registry');
  const address = `${options.address ?? '198.51.100.2'}:7443`;
  const stateDir = join(dir, 'registry');
  const agents: Agent[] = [];
  const tokens: string[] = [];
  const nodeDir = (name: string): string => join(dir, name);
  const admin = (...argv: string[]): Promise<Finished> =>
    host.runAny([binary('dmwg'), ...argv], { env: { ...env, DMWG_STATE_DIR: stateDir } });
  const ask = async (...argv: string[]): Promise<unknown> => {
    const done = await admin(...argv, '-o', 'json');
    if (done.code !== 0) throw new Error(`dmwg ${argv.join(' ')}: exit ${String(done.code)}: ${done.stderr}`);
    return JSON.parse(done.stdout) as unknown;
  };
  const token = async (...argv: string[]): Promise<string> => {
    const created = await ask('token', 'create', ...argv);
    const text = (created as { readonly token: string }).token;
    tokens.push(text);
    return text;
  };

  const registry = createService({
    host,
    stateDir,
    env: { ...env, ...options.registryEnv },
    argv: [
      binary('dmwg-registry'),
      '--state-dir',
      stateDir,
      '--listen',
      '0.0.0.0:7443',
      ...['--log-level', options.logLevel ?? 'info'],
      ...(options.registryArguments ?? []),
    ],
    isReady: (log) => log.some((line) => line.msg === 'ready'),
  });

  const join_ = async (name: string, request: JoinOptions = {}): Promise<Agent> => {
    const { role = 'spoke', prefixes = [], endpoint } = request;
    const spoke = lab.host(name);
    const allowed = prefixes.flatMap((prefix) => ['--prefix', prefix]);
    const secret = await token('--role', role, ...allowed);
    const place = endpoint === undefined ? [] : ['--endpoint', endpoint];
    await mkdir(nodeDir(name), { mode: 0o700 });
    await spoke.run(
      [binary('dmwg'), 'join', '-', '--state-dir', nodeDir(name), '--name', name, '--role', role, ...allowed, ...place],
      { env, input: `${secret}\n` },
    );
    const nodes = (await ask('show', 'nodes')) as readonly { name: string; address: string; address6: string | null }[];
    if (request.configure) {
      const file = join(nodeDir(name), 'agent.yaml');
      await writeFile(file, request.configure(await readFile(file, 'utf8')), { mode: 0o600 });
    }
    const node = nodes.find((item) => item.name === name);
    if (node === undefined) throw new Error(`"dmwg show nodes" does not list ${name}`);
    const agent = createAgent({
      name,
      role,
      host: spoke,
      stateDir: nodeDir(name),
      env: { ...env, ...request.env },
      node,
      more: ['--log-level', options.logLevel ?? 'debug', ...(options.agentArguments ?? [])],
    });
    agents.push(agent);
    await agent.start();
    // Programs that start at the same moment would keep a slow machine from answering within anybody's deadline.
    if (slowness > 1) await settled(lab, [agent]);
    return agent;
  };

  const explain = async (): Promise<string> => {
    const parts = await Promise.all(agents.map(agentState));
    const nodes = await admin('show', 'nodes').catch((error: unknown) => ({ stdout: String(error), stderr: '' }));
    return [
      `## dmwg show nodes\n${nodes.stdout}${nodes.stderr}`,
      `## registry log\n${tail(registry.output())}`,
      ...parts,
    ].join('\n');
  };
  lab.explainWith(explain);

  const overlay: Overlay = {
    lab,
    registry,
    address,
    admin,
    ask,
    token,
    nodeDir,
    join: join_,
    agents: () => agents,
    tokens: () => tokens,
    settled: () => settled(lab, agents),
    dispose: async () => {
      for (const agent of agents) await agent.stop('SIGKILL');
      if (registry.isRunning()) await registry.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  try {
    await host.run(
      [
        binary('dmwg'),
        'init',
        '--state-dir',
        stateDir,
        '--overlay-name',
        'test',
        '--registry-address',
        address,
        ...initOf(options),
      ],
      { env },
    );
    await options.before?.(dir);
    await registry.start();
  } catch (error) {
    await overlay.dispose();
    throw error;
  }
  return overlay;
}

function initOf(options: OverlayOptions): readonly string[] {
  return options.init ?? ['--pool', '10.77.0.0/24', '--pool6', 'fd77:7::/64', '--summary', '10.10.0.0/16'];
}

async function settled(lab: Lab, agents: readonly Agent[]): Promise<void> {
  await until(
    'all agents have their session, and spokes a hub',
    async () => {
      const all = await Promise.all(agents.map((agent) => agent.status()));
      return all.every(
        (status) =>
          status.registry.connected &&
          (status.role === 'hub' || status.hubs.some((hub) => hub.active && hub.state === 'up')),
      );
    },
    { within: 30_000 * slowness, every: 200, explain: () => lab.state() },
  );
}

async function agentState(agent: Agent): Promise<string> {
  const status = await agent.status().then(
    (value) => JSON.stringify(value, null, 1),
    (error: unknown) => String(error),
  );
  return `## dmwg status on ${agent.name}\n${status}\n## log of ${agent.name}\n${tail(agent.output())}`;
}

function tail(text: string): string {
  return text.split('\n').slice(-40).join('\n');
}
