import { type Finished, type Program, type RunOptions, run, runAny, start } from './process.ts';
import { followPing, pingCommand, type Pinging, type PingOptions, type PingResult } from './ping.ts';
import { until } from '../poll.ts';

export interface Capture {
  /** One line a packet, as tcpdump prints it. */
  lines(): string[];
  stop(): Promise<string[]>;
}

export interface Counter {
  read(): Promise<{ readonly packets: number; readonly bytes: number }>;
}

/** A machine of the lab: one network namespace. */
export interface Host {
  readonly name: string;
  readonly namespace: string;
  /** For this host's agent, unique on this machine. */
  readonly interfacePrefix: string;
  /** For tunnels that are not the agent's, unique too. */
  readonly otherPrefix: string;
  /** Stdout of a program that must succeed. */
  run(argv: readonly string[], options?: RunOptions): Promise<string>;
  /** Any exit status is a result. */
  runAny(argv: readonly string[], options?: RunOptions): Promise<Finished>;
  /** Dies with the lab. */
  spawn(argv: readonly string[], options?: RunOptions): Program;
  ping(options: PingOptions & { readonly count: number }): Promise<PingResult>;
  startPing(options: PingOptions): Pinging;
  link(interfaceName: string, state: 'up' | 'down'): Promise<void>;
  /** Resolves when the capture is running. `direction`: only what comes in or goes out. */
  capture(interfaceName: string, filter: string, direction?: 'in' | 'out'): Promise<Capture>;
  /** Counts what matches an nft expression in a hook; it sees packets before anything of the host's own can drop them. */
  count(hook: 'input' | 'forward' | 'output', match: string): Promise<Counter>;
}

interface HostOptions {
  readonly name: string;
  readonly namespace: string;
  readonly interfacePrefix: string;
  readonly otherPrefix: string;
  /** Told about every program that is started. */
  readonly started: (program: Program) => void;
}

export function createHost({ name, namespace, interfacePrefix, otherPrefix, started }: HostOptions): Host {
  let counters = 0;
  const inside = (argv: readonly string[]): string[] => ['ip', 'netns', 'exec', namespace, ...argv];
  const spawn = (argv: readonly string[], options?: RunOptions): Program => {
    const program = start(inside(argv), options);
    started(program);
    return program;
  };
  const startPing = (options: PingOptions): Pinging => followPing(spawn(pingCommand(options)), options.rate ?? 10);

  return {
    name,
    namespace,
    interfacePrefix,
    otherPrefix,
    run: (argv, options) => run(inside(argv), options),
    runAny: (argv, options) => runAny(inside(argv), options),
    spawn,
    startPing,
    ping: (options) => startPing(options).result(),
    link: async (interfaceName, state) => {
      await run(['ip', '-n', namespace, 'link', 'set', 'dev', interfaceName, state]);
    },
    capture: async (interfaceName, filter, direction) => {
      const options = [
        '-Z',
        'root',
        '-n',
        '-l',
        '--immediate-mode',
        ...(direction === undefined ? [] : ['-Q', direction]),
      ];
      const program = spawn(['tcpdump', ...options, '-i', interfaceName, filter]);
      await until(`tcpdump listens on ${name} ${interfaceName}`, () => program.stderr().includes('listening on'), {
        within: 10_000,
        every: 10,
        explain: () => program.stderr(),
      });
      const lines = (): string[] => program.stdout().split('\n').filter(Boolean);
      return {
        lines,
        stop: async () => {
          await program.stop('SIGINT');
          return lines();
        },
      };
    },
    count: async (hook, match) => {
      counters += 1;
      const counter = `n${String(counters)}`;
      const input = [
        'table inet labcount {',
        `counter ${counter} { }`,
        `chain ${counter} {`,
        `type filter hook ${hook} priority -350;`,
        `${match} counter name ${counter}`,
        '}',
        '}',
        '',
      ].join('\n');
      await run(inside(['nft', '-f', '-']), { input });
      return {
        read: async () => {
          const text = await run(inside(['nft', 'list', 'counter', 'inet', 'labcount', counter]));
          const [, packets, bytes] = /packets (\d+) bytes (\d+)/.exec(text) ?? [];
          if (packets === undefined || bytes === undefined) throw new Error(`nft: no counter in ${text}`);
          return { packets: Number(packets), bytes: Number(bytes) };
        },
      };
    },
  };
}
