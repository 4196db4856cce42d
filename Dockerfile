# syntax=docker/dockerfile:1
# One static program in an image that holds nothing else.

ARG RUST=1.95

FROM rust:${RUST}-alpine AS build
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY . .
# Without the sandbox: production must not be able to play WeChat to itself.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist -p dream-cli --no-default-features && \
    install -D target/dist/dream /out/dream && \
    install -d -o 10001 -g 10001 /out/data

FROM scratch
# Whom to trust when we call WeChat, WeChat Pay and the image API.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/dream /dream
COPY --from=build --chown=10001:10001 /out/data /data

USER 10001:10001
# What is not configured elsewhere, a SQLite database and pictures, is kept in dream-data here.
WORKDIR /data
VOLUME /data
ENV APP_ENV=production HOST=0.0.0.0 PORT=3000
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/dream", "ready"]
ENTRYPOINT ["/dream"]
CMD ["serve"]
