// apply/: values into the world. Does a list of changes in its order with as few programs as it can: consecutive changes
// for the same program are one call, for starting a program takes longer than what it then does. May import decide's types,
// proto/model, proto/kit and the port types of agent/io. What fails is told, and never keeps the rest from being done.
import { errorText } from '#proto/kit/errors.ts';
import type { Change } from '#agent/decide/change.ts';
import type { IpProgram, Run, Sysctls } from '#agent/io/host-port.ts';
import { type Outcome, runInProgram, runIpBatch } from './batch.ts';
import { type IpChange, ipLine, type PeerChange } from './commands.ts';
import { removeFirewall, setFirewall } from './firewall.ts';
import { changePeers } from './peers.ts';
import { setSysctl } from './sysctls.ts';
import type { Wireguard } from './wireguard.ts';

export interface Hands {
  readonly run: Run;
  /** For routes alone. */
  readonly ip: IpProgram;
  readonly sysctls: Sysctls;
  readonly wireguard: Wireguard;
  /** Path of the file with the private key of an interface. */
  readonly keyFile: (interfaceName: string) => string;
  /** Name of our nftables table in the inet family. */
  readonly table: string;
}

export interface AppliedResult {
  readonly change: Change;
  /** Undefined = done, or no longer needed. */
  readonly error: string | undefined;
}

type Group =
  /** Of a rule without addresses only this tells the family. */
  | { readonly tool: 'ip' | 'ip -6'; readonly changes: IpChange[] }
  | { readonly tool: 'wg'; readonly changes: PeerChange[] }
  | { readonly tool: 'other'; readonly changes: OtherChange[] };
type OtherChange = Exclude<Change, IpChange | PeerChange>;

/** Does changes in their order. Never throws: every change has its result. */
export async function applyChanges(changes: readonly Change[], hands: Hands): Promise<AppliedResult[]> {
  const results: AppliedResult[] = [];
  for (const group of groups(changes)) {
    const outcomes = await applyGroup(group, hands);
    group.changes.forEach((change, index) => results.push({ change, error: outcomes[index] }));
  }
  return results;
}

async function applyGroup(group: Group, hands: Hands): Promise<Outcome[]> {
  switch (group.tool) {
    case 'ip':
      return applyIp(group.changes, hands);
    case 'ip -6':
      return applyIp(group.changes, hands, ['-6']);
    case 'wg':
      return applyPeers(group.changes, hands.run);
    case 'other':
      return Promise.all(group.changes.map((change) => applyOther(change, hands)));
  }
}

/** A group ends where the next change is for another program, so that the plan's order is kept. */
function groups(changes: readonly Change[]): Group[] {
  const found: Group[] = [];
  for (const change of changes) {
    const last = found.at(-1);
    switch (change.kind) {
      case 'add-address':
      case 'remove-address':
      case 'add-route':
      case 'replace-route':
      case 'remove-route':
      case 'set-gateway':
      case 'remove-gateway':
      case 'delete-interface':
        if (last?.tool === 'ip') last.changes.push(change);
        else found.push({ tool: 'ip', changes: [change] });
        break;
      case 'add-rule':
      case 'remove-rule': {
        const tool = change.rule.family === 6 ? 'ip -6' : 'ip';
        if (last?.tool === tool) last.changes.push(change);
        else found.push({ tool, changes: [change] });
        break;
      }
      case 'add-peer':
      case 'update-peer':
      case 'replace-peer':
      case 'move-peer':
      case 'remove-peer':
        if (last?.tool === 'wg') last.changes.push(change);
        else found.push({ tool: 'wg', changes: [change] });
        break;
      default:
        // Different interfaces and settings do not wait for each other; different kinds do.
        if (last?.tool === 'other' && last.changes.at(-1)?.kind === change.kind) last.changes.push(change);
        else found.push({ tool: 'other', changes: [change] });
    }
  }
  return found;
}

async function applyIp(
  changes: readonly IpChange[],
  { run, ip }: Hands,
  options: readonly string[] = [],
): Promise<Outcome[]> {
  const lines = changes.map(ipLine);
  const outcomes = changes.every(isRoute) ? await runInProgram(ip, run, lines) : await runIpBatch(run, lines, options);
  return changes.map((change, index) => judge(change, outcomes[index]));
}

/** Interfaces in parallel, the peers of one in their order. */
async function applyPeers(changes: readonly PeerChange[], run: Run): Promise<Outcome[]> {
  const byInterface = new Map<string, PeerChange[]>();
  for (const change of changes) {
    const same = byInterface.get(change.interface);
    if (same) same.push(change);
    else byInterface.set(change.interface, [change]);
  }
  const outcomes = new Map<PeerChange, Outcome>();
  await Promise.all(
    [...byInterface].map(async ([name, own]) => {
      const done = await changePeers(run, name, own);
      own.forEach((change, index) => outcomes.set(change, done[index]));
    }),
  );
  return changes.map((change) => outcomes.get(change));
}

async function applyOther(change: OtherChange, hands: Hands): Promise<Outcome> {
  try {
    switch (change.kind) {
      case 'set-sysctl':
        await setSysctl(hands.sysctls, change.name, change.to);
        return undefined;
      case 'create-interface':
        await hands.wireguard.create(change.tunnel, hands.keyFile(change.tunnel.name));
        return undefined;
      case 'configure-interface':
        await hands.wireguard.configure(change.to, hands.keyFile(change.name), change.from);
        return undefined;
      case 'set-firewall':
        await setFirewall(hands.run, hands.table, change.from, change.to);
        return undefined;
      case 'remove-firewall':
        await removeFirewall(hands.run, hands.table);
        return undefined;
    }
  } catch (error) {
    return errorText(error);
  }
}

function isRoute({ kind }: IpChange): boolean {
  return kind === 'add-route' || kind === 'replace-route' || kind === 'remove-route';
}

/** What is already gone needs no removing. */
function judge(change: IpChange, outcome: Outcome): Outcome {
  if (outcome === undefined) return undefined;
  switch (change.kind) {
    case 'remove-address':
    case 'remove-route':
    case 'remove-gateway':
    case 'remove-rule':
    case 'delete-interface':
      return /No such file|No such process|No such device|Cannot find device|Cannot assign requested|address not found/i.test(
        outcome,
      )
        ? undefined
        : outcome;
    case 'add-route':
      return outcome.includes('File exists')
        ? `${change.route.prefix} already has a route of someone else with metric ${String(change.route.metric)}`
        : outcome;
    case 'add-rule':
      return outcome.includes('File exists') ? undefined : outcome;
    case 'add-address':
    case 'replace-route':
    case 'set-gateway':
      return outcome;
  }
}
