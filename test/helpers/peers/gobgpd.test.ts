import { peerSuite } from './suite.ts';

peerSuite('gobgpd', 'bird');
