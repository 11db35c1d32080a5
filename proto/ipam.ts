import { margay } from './generated/ipam.js';
import { unary } from './service.ts';

const v1 = margay.ipam.v1;

/** The service of ipam.proto, for {@link RpcServer.add} and {@link connect}. */
export const ipamService = {
  show: unary(path('Show'), v1.ShowRequest, v1.ShowResponse),
  check: unary(path('Check'), v1.CheckRequest, v1.CheckResponse),
  release: unary(path('Release'), v1.ReleaseRequest, v1.ReleaseResponse),
} as const;

function path(method: string): string {
  return `/margay.ipam.v1.Ipam/${method}`;
}
