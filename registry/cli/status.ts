import type { Command } from 'commander';
import { agentStatus } from './agent-socket.ts';
import { type AgentView, agentView } from './agent-view.ts';
import type { Io } from './io.ts';
import { nodeStateDir, type StateDirOptions, withStateDir } from './state-dir.ts';
import { type OutputOptions, present, withWatch } from './output.ts';
import { exitLine, routingText } from './status-routing.ts';
import { formatSpan, formatTable } from './table.ts';

export function addStatus(program: Command, io: Io): void {
  const command = program.command('status').description('this machine: hubs, paths, shortcuts, from its agent');
  withWatch(withStateDir(command))
    .addHelpText('after', '\nExamples:\n  dmwg status --state-dir /var/lib/dmwg/node\n  dmwg status --watch\n')
    .action(async (options: StateDirOptions & OutputOptions) => {
      const stateDir = await nodeStateDir(io, options);
      await present(io, options, async () => {
        const data = await agentStatus(stateDir);
        return { data, table: () => statusText(data) };
      });
    });
}

export function statusText(data: unknown): string {
  const status = agentView(data);
  const sections = [
    head(status),
    hubs(status),
    uplinks(status),
    peers(status),
    shortcuts(status),
    routes(status),
    interfaces(status),
  ];
  return sections.filter((section) => section !== '').join('\n');
}

function head(status: AgentView): string {
  const { node, role, address, address6, overlay, registry, revoked } = status;
  const addresses = [address ?? '', address6 ?? ''].filter((text) => text !== '').join(', ');
  const connected = registry.connected ? 'connected' : 'not connected; tunnels go on without it';
  const lines = [
    `${node}: ${role}${overlay ? ` of ${overlay}` : ''}, ${addresses === '' ? 'no address yet' : addresses}`,
    registry.endpoint ? `registry: ${registry.endpoint} ${connected}` : `registry: ${connected}`,
    ...(revoked ? [`revoked: ${revoked}`] : []),
    ...(status.registration?.refused ?? []).map((text) => `refused: ${text}`),
    ...(status.routing?.exit ? [exitLine(status.routing)] : []),
    ...(status.faults ?? []).map((text) => `fault: ${text}`),
  ];
  return `${lines.join('\n')}\n`;
}

type HubView = AgentView['hubs'][number];

function hubs(status: AgentView): string {
  if (status.hubs.length === 0) return '';
  return formatTable<HubView>(
    [
      { title: 'HUB', text: ({ node }) => node },
      { title: 'ADDRESS', text: ({ address }) => address },
      { title: 'PRIORITY', text: ({ priority }) => String(priority), right: true },
      { title: 'STATE', text: ({ state }) => state },
      { title: 'ACTIVE', text: ({ active }) => (active ? 'yes' : 'no') },
      { title: 'RTT', text: ({ rttMs }) => formatRtt(rttMs), right: true },
      { title: 'LOSS', text: ({ loss }) => formatLoss(loss), right: true },
      { title: 'INTERFACE', text: (hub) => hub.interface ?? '' },
      ...(status.uplinks?.length ? [{ title: 'UPLINK', text: (hub: HubView) => hub.uplink ?? '' }] : []),
    ],
    status.hubs,
  );
}

function uplinks(status: AgentView): string {
  if (!status.uplinks || status.uplinks.length === 0) return '';
  return formatTable<NonNullable<AgentView['uplinks']>[number]>(
    [
      { title: 'UPLINK', text: ({ name }) => name },
      { title: 'PRIORITY', text: ({ priority }) => String(priority), right: true },
      { title: 'STATE', text: ({ state }) => state },
      { title: 'ACTIVE', text: ({ active }) => (active ? 'yes' : 'no') },
      { title: 'RTT', text: ({ rttMs }) => formatRtt(rttMs), right: true },
      { title: 'LOSS', text: ({ loss }) => formatLoss(loss), right: true },
      { title: 'INTERFACE', text: (uplink) => uplink.interface ?? '' },
      { title: 'ADDRESS', text: ({ addresses }) => addresses.join(', ') },
      { title: 'GATEWAY', text: ({ gateway }) => gateway ?? '' },
    ],
    status.uplinks,
  );
}

function peers(status: AgentView): string {
  if (status.peers.length === 0)
    return status.role === 'hub' ? 'No peer yet.\n' : 'No peer: nothing was resolved yet.\n';
  return formatTable<AgentView['peers'][number]>(
    [
      { title: 'PEER', text: ({ node }) => node },
      { title: 'ADDRESS', text: ({ address }) => address },
      { title: 'PATH', text: ({ path }) => path },
      { title: 'STATE', text: ({ state }) => state },
      { title: 'BFD', text: ({ bfd }) => bfd ?? '' },
      { title: 'RTT', text: ({ rttMs }) => formatRtt(rttMs), right: true },
      { title: 'LOSS', text: ({ loss }) => formatLoss(loss), right: true },
      { title: 'ENDPOINT', text: ({ endpoint }) => endpoint ?? '' },
      { title: 'REASON', text: ({ reason }) => reason ?? '' },
    ],
    status.peers,
  );
}

function shortcuts(status: AgentView): string {
  if (status.shortcuts.length === 0) return '';
  return formatTable<AgentView['shortcuts'][number]>(
    [
      { title: 'SHORTCUT', text: ({ prefix }) => prefix },
      { title: 'NODE', text: ({ node }) => node },
      { title: 'EXPIRES', text: ({ expiresIn }) => (typeof expiresIn === 'number' ? formatSpan(expiresIn) : '') },
    ],
    status.shortcuts,
  );
}

function routes({ routing }: AgentView): string {
  return routing ? routingText(routing) : '';
}

function interfaces(status: AgentView): string {
  if (!status.interfaces || status.interfaces.length === 0) return '';
  return formatTable<NonNullable<AgentView['interfaces']>[number]>(
    [
      { title: 'INTERFACE', text: ({ name }) => name },
      { title: 'KIND', text: ({ kind }) => kind ?? '' },
      {
        title: 'PORT',
        text: ({ listenPort }) => (typeof listenPort === 'number' ? String(listenPort) : ''),
        right: true,
      },
    ],
    status.interfaces,
  );
}

function formatRtt(milliseconds: number | null | undefined): string {
  return typeof milliseconds === 'number' ? `${milliseconds.toFixed(1)} ms` : '';
}

function formatLoss(percent: number | null | undefined): string {
  return typeof percent === 'number' ? `${String(percent)} %` : '';
}
