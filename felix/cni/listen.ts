import type { Log } from '#daemon/log.ts';
import { CniHandler, type Wiring } from './handler.ts';
import { CniServer } from './server.ts';

/** Where the plugin looks for felix. */
export const DEFAULT_CNI_SOCKET = '/run/margay/cni.sock';

/** Answers the plugin at `path`. @throws Error when the socket can not be had */
export function listenForCni(path: string, wiring: Wiring, log: Log): Promise<CniServer> {
  const handler = new CniHandler(wiring, log);
  return CniServer.listen({
    path,
    answer: (call, signal) => handler.answer(call, signal),
    onBadRequest: (what) => log.warn({ what }, 'a request on the CNI socket is not one of the plugin'),
  });
}
