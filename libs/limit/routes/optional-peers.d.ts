/** The parts that are used of packages that an app may not have. They are loaded by the routes of such packages only. */
declare module '@nestjs/websockets' {
  export class WsException extends Error {
    constructor(error: string | object);
  }
}

declare module '@nestjs/microservices' {
  export class RpcException extends Error {
    constructor(error: string | object);
  }
}
