export const x_redis = 1;
