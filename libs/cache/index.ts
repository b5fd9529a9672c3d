export const x_cache = 1;
