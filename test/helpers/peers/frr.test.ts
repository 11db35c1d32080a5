import { peerSuite } from './suite.ts';

peerSuite('frr', 'bird');
