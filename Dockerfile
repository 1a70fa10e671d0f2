# The image without arguments is the webhook. `--target controller` and `--target refresher` make the same image with
# another command, for Deployments that give no arguments, or flags only.
#
# The runtime stage is empty but for one static binary, and the certificates by which it knows AWS: nothing to patch, nothing to run for an intruder, no base
# image to trust. The binary is linked statically, against glibc rather than musl, whose allocator is slow when several
# threads use it; +crt-static does that with the ordinary Debian toolchain.
#
# For several architectures: docker buildx build --platform linux/amd64,linux/arm64 . The builder stage runs on the machine's
# own and compiles for the other, since emulated it would take an hour. It takes BuildKit, or buildah.

ARG RUST_VERSION=1.95
FROM --platform=$BUILDPLATFORM docker.io/library/rust:${RUST_VERSION}-bookworm AS build
WORKDIR /build
ENV RUSTFLAGS="-C target-feature=+crt-static"
# By these names Debian has its own compiler, too; ring's C is compiled by the same, which it finds by itself.
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# What BuildKit and buildah set; without them, the machine's own.
ARG TARGETARCH
# An explicit target keeps the flags away from build scripts and procedural macros, which cannot be static.
RUN case ${TARGETARCH:-$(dpkg --print-architecture)} in \
      amd64) target=x86_64-unknown-linux-gnu compiler=x86_64-linux-gnu-gcc packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
      arm64) target=aarch64-unknown-linux-gnu compiler=aarch64-linux-gnu-gcc packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
      *) echo "Dockerfile: TARGETARCH '$TARGETARCH': build for linux/amd64 or linux/arm64" >&2; exit 1 ;; \
    esac \
 && echo "$target" > /target \
 && if ! command -v "$compiler"; then \
      apt-get update && apt-get install -y --no-install-recommends $packages && rm -rf /var/lib/apt/lists/*; \
    fi \
 && rustup target add "$target"
# The dependencies are a layer of their own, built with empty sources: a change of the code does not build them again.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
 && cargo build --release --locked --target "$(cat /target)"
COPY src src
# Newer than the empty sources, whatever date the files had outside.
RUN find src -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --target "$(cat /target)" \
 && cp "target/$(cat /target)/release/pullgate" /pullgate

FROM scratch AS program
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pullgate" \
      org.opencontainers.image.description="Governs how a Kubernetes cluster pulls images: registry, pull policy, pull secrets, storage class" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /pullgate /pullgate
# A number, so that the kubelet can tell that it is not root.
USER 65532:65532

FROM program AS controller
# Health and metrics.
EXPOSE 8080
ENTRYPOINT ["/pullgate", "controller"]

FROM program AS refresher
EXPOSE 8080
ENTRYPOINT ["/pullgate", "refresher"]

# The last one is what is built where no target is named.
FROM program AS webhook
# 8443: admission reviews over TLS. 8080: health and metrics.
EXPOSE 8443 8080
ENTRYPOINT ["/pullgate"]
CMD ["webhook"]
