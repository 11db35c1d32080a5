import { margay } from './generated/bgp.js';
import { serverStream, unary } from './service.ts';

const v1 = margay.bgp.v1;

/** The service of bgp.proto, for {@link RpcServer.add} and {@link connect}. */
export const bgpService = {
  getStatus: unary(path('GetStatus'), v1.GetStatusRequest, v1.Status),
  listNeighbors: unary(path('ListNeighbors'), v1.ListNeighborsRequest, v1.ListNeighborsResponse),
  listRoutes: serverStream(path('ListRoutes'), v1.ListRoutesRequest, v1.RouteBatch),
  lookupRoute: unary(path('LookupRoute'), v1.LookupRouteRequest, v1.LookupRouteResponse),
  advertise: unary(path('Advertise'), v1.AdvertiseRequest, v1.AdvertiseResponse),
  withdraw: unary(path('Withdraw'), v1.WithdrawRequest, v1.WithdrawResponse),
  resetNeighbor: unary(path('ResetNeighbor'), v1.ResetNeighborRequest, v1.ResetNeighborResponse),
  setNeighborEnabled: unary(
    path('SetNeighborEnabled'),
    v1.SetNeighborEnabledRequest,
    v1.SetNeighborEnabledResponse,
  ),
  reload: unary(path('Reload'), v1.ReloadRequest, v1.ReloadResponse),
  watchEvents: serverStream(path('WatchEvents'), v1.WatchEventsRequest, v1.Event),
} as const;

function path(method: string): string {
  return `/margay.bgp.v1.Bgp/${method}`;
}
