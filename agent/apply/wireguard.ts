import { errorText } from '#proto/kit/errors.ts';
import { pause } from '#proto/kit/clock.ts';
import { interfaceSysctls, lacksPort, type TunnelState } from '#agent/decide/host.ts';
import { ExecError, type Run, type Sysctls } from '#agent/io/host-port.ts';
import { runIpBatch } from './batch.ts';
import { addressLine } from './commands.ts';

export interface Wireguard {
  /** Makes the interface and sets it up. Throws if a step fails; `configure` can finish it later. */
  create(tunnel: TunnelState, keyFile: string): Promise<void>;
  /**
   * Sets key, port, MTU, kernel settings and addresses; brings it up (or down) last, so that "up" means complete. `from`: as
   * it was.
   */
  configure(tunnel: TunnelState, keyFile: string, from?: TunnelState): Promise<void>;
}

export interface WireguardOptions {
  readonly run: Run;
  readonly sysctls: Sysctls;
}

const busyRetries = 40;
const busyPause = 50;

/** Interfaces of the kernel's WireGuard, or of wireguard-go if the kernel has none: found out by the first one made. */
export function createWireguard({ run, sysctls }: WireguardOptions): Wireguard {
  let inKernel: boolean | undefined;

  async function configure(tunnel: TunnelState, keyFile: string, from?: TunnelState): Promise<void> {
    const { name } = tunnel;
    // wireguard-go binds when its interface comes up, and only then tries again what failed.
    if (from !== undefined && lacksPort(from, tunnel)) await ip([`link set dev ${name} down`]);
    const port = tunnel.listenPort === 0 ? [] : ['listen-port', String(tunnel.listenPort)];
    const mark = tunnel.mark === (from?.mark ?? 0) ? [] : ['fwmark', String(tunnel.mark)];
    await run('wg', ['set', name, 'private-key', keyFile, ...port, ...mark]);
    for (const [setting, value] of interfaceSysctls(name)) {
      // A kernel without IPv6 has none of its settings; the address then says what is missing.
      if ((await sysctls.read(setting)) !== undefined) await sysctls.write(setting, value);
    }
    const lines = [
      `link set dev ${name} mtu ${String(tunnel.mtu)}`,
      ...[...tunnel.addresses].map((address) => addressLine(name, address)),
    ];
    await ip(lines);
    await ip([`link set dev ${name} ${tunnel.up ? 'up' : 'down'}`]);
  }

  async function ip(lines: readonly string[]): Promise<void> {
    const failed = (await runIpBatch(run, lines)).flatMap((outcome, index) =>
      outcome === undefined ? [] : [`${lines[index] ?? ''}: ${outcome}`],
    );
    if (failed.length > 0) throw new Error(failed.join('; '));
  }

  async function makeDevice(name: string): Promise<void> {
    if (inKernel !== false) {
      try {
        await run('ip', ['link', 'add', 'dev', name, 'type', 'wireguard']);
        inKernel = true;
        return;
      } catch (error) {
        if (inKernel || !isUnknownType(error)) throw error;
        inKernel = false;
      }
    }
    await startDaemon(name);
    // Kernel WireGuard does the same: a hub sends packets back by the interface they came from, and that is right.
    await sysctls.write('net.ipv4.conf.all.send_redirects', '0');
  }

  /** In a session of its own: it stays when the agent goes. It detaches itself, and ends with its interface. */
  async function startDaemon(name: string): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await run('setsid', ['--wait', 'wireguard-go', name]);
        return;
      } catch (error) {
        if (isNotInstalled(error)) {
          throw new Error(
            'this kernel has no WireGuard and wireguard-go is not installed: install the Debian package wireguard-go',
            { cause: error },
          );
        }
        // A daemon whose interface was just deleted still holds its socket for a moment.
        if (!isInUse(error) || attempt >= busyRetries) throw error;
        await pause(busyPause);
      }
    }
  }

  return {
    async create(tunnel, keyFile) {
      await makeDevice(tunnel.name);
      await configure(tunnel, keyFile);
    },
    configure,
  };
}

function isUnknownType(error: unknown): boolean {
  return /Unknown device type|not supported/.test(errorText(error));
}

function isInUse(error: unknown): boolean {
  return /in use|resource busy/.test(errorText(error));
}

function isNotInstalled(error: unknown): boolean {
  return error instanceof ExecError && /failed to execute wireguard-go/.test(error.stderr);
}
