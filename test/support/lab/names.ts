import { existsSync, readdirSync } from 'node:fs';

// A lab's namespaces are dm<pid><lab>-<host>, the interfaces of its WireGuard agents d<pid><number>: pid is five digits
// of base 36, so that what a dead process left behind is known by its name.
const pidDigits = 5;

let labs = 0;
let prefixes = 0;

function digits(value: number, width: number): string {
  return value.toString(36).padStart(width, '0');
}

const own = digits(process.pid, pidDigits);

/** The start of the names of one lab's namespaces. */
export function labName(): string {
  labs += 1;
  return `dm${own}${digits(labs, 2)}`;
}

/** An interface prefix that no other agent on this machine has: the sockets of wireguard-go are shared by all namespaces. */
export function interfacePrefix(): string {
  prefixes += 1;
  return `d${own}${digits(prefixes, 2)}`;
}

/** Namespaces of labs whose process is gone. */
export function staleNamespaces(): string[] {
  return list('/run/netns').filter((name) => isStale(/^dm([0-9a-z]{5})[0-9a-z]{2}-/.exec(name)?.[1]));
}

/** Sockets of wireguard-go in such labs, as paths. */
export function staleSockets(): string[] {
  return list('/var/run/wireguard')
    .filter((name) => isStale(/^d([0-9a-z]{5})[0-9a-z]{2}(?:\d|-).*\.sock$/.exec(name)?.[1]))
    .map((name) => `/var/run/wireguard/${name}`);
}

/** Sockets of wireguard-go for interfaces with this prefix, as paths. */
export function socketsOf(prefix: string): string[] {
  return list('/var/run/wireguard')
    .filter((name) => name.startsWith(prefix))
    .map((name) => `/var/run/wireguard/${name}`);
}

function isStale(pid: string | undefined): boolean {
  return pid !== undefined && !existsSync(`/proc/${String(Number.parseInt(pid, 36))}`);
}

function list(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
