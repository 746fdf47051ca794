# Build stage: everything; run stage: the program and the libraries that it links.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make
WORKDIR /src
COPY . .
RUN make deps && make -j"$(nproc)" all && make install DESTDIR=/out PREFIX=/usr

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        libmicrohttpd12 libcjson1 libprotobuf-c1 libjpeg62-turbo libspng0 libwebp7 libwebpdemux2 libarchive13 \
        libsqlite3-0 libnettle8 libcurl3-gnutls ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/cambium --create-home cambium
COPY --from=build /out/usr/bin/cambium /usr/bin/cambium
USER cambium
EXPOSE 8080
VOLUME ["/var/lib/cambium", "/mnt/models"]
HEALTHCHECK CMD ["cambium", "--version"]
ENTRYPOINT ["cambium"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080", "--data", "/var/lib/cambium", "--models", "/mnt/models"]
