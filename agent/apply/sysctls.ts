import { forwarding6 } from '#agent/decide/host.ts';
import type { Sysctls } from '#agent/io/host-port.ts';

/** Sets a kernel setting. A host that begins to forward IPv6 goes on listening to its routers. */
export async function setSysctl(sysctls: Sysctls, name: string, value: string): Promise<void> {
  if (name === forwarding6 && value === '1') await keepRouters(sysctls);
  await sysctls.write(name, value);
}

/** Else the routes that were learnt from router advertisements go when their lifetime ends, the default route first. */
async function keepRouters(sysctls: Sysctls): Promise<void> {
  for (const place of await sysctls.children('net.ipv6.conf')) {
    const name = `net.ipv6.conf.${place}.accept_ra`;
    if ((await sysctls.read(name)) === '1') await sysctls.write(name, '2');
  }
}
