import { createSocket } from 'node:dgram';
import { type Address, parseAddress } from '#proto/model/address.ts';
import { type Endpoint, endpointAddress, endpointFamily, endpointPort } from '#proto/model/endpoint.ts';

/**
 * The own addresses from which this host reaches the endpoints: what it can claim as its own endpoints. Asks the kernel's
 * routing by connecting UDP sockets, which sends nothing. Endpoints without a route are left out.
 */
export async function observeLocalAddresses(endpoints: readonly Endpoint[]): Promise<Address[]> {
  const found = await Promise.all(endpoints.map(localAddressTo));
  return [...new Set(found.filter((address) => address !== undefined))].sort();
}

function localAddressTo(endpoint: Endpoint): Promise<Address | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(endpointFamily(endpoint) === 6 ? 'udp6' : 'udp4');
    const finish = (address: Address | undefined): void => {
      resolve(address);
      socket.close();
    };
    socket.on('error', () => {
      finish(undefined);
    });
    socket.connect(endpointPort(endpoint), endpointAddress(endpoint), () => {
      const parsed = parseAddress(socket.address().address);
      finish(parsed.ok ? parsed.value : undefined);
    });
  });
}
