import { get } from 'node:http';

/** "absent": nobody listens there. */
export function health(socketPath: string): Promise<'healthy' | 'unhealthy' | 'absent'> {
  return new Promise((resolve) => {
    const request = get({ socketPath, path: '/health', timeout: 1000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? 'healthy' : 'unhealthy');
    });
    request.once('timeout', () => {
      request.destroy();
      resolve('unhealthy');
    });
    request.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ENOENT' || error.code === 'ECONNREFUSED' ? 'absent' : 'unhealthy');
    });
  });
}
