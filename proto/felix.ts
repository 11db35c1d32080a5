import { margay } from './generated/felix.js';
import { unary } from './service.ts';

const v1 = margay.felix.v1;

/** The service of felix.proto, for {@link RpcServer.add} and {@link connect}. */
export const felixService = {
  getStatus: unary(path('GetStatus'), v1.GetStatusRequest, v1.Status),
  listEndpoints: unary(path('ListEndpoints'), v1.ListEndpointsRequest, v1.ListEndpointsResponse),
} as const;

function path(method: string): string {
  return `/margay.felix.v1.Felix/${method}`;
}
