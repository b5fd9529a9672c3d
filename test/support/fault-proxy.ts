/** For specs whose sources import this name from here. */
export { FaultProxy } from 'nestjs-sluice/testing';
