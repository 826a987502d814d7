// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// `samara-runtime` under the engines that call OCI runtimes, as their packages are.
    @Suite struct RuntimeCallers {
        private static func run(_ script: String, _ bundle: RuntimeBundle, _ samara: Samara) throws -> [String] {
            var environment = bundle.environment
            environment["FOLDER"] = bundle.folder
            environment["RUNTIME"] = bundle.program
            environment["IMAGE"] = samara.images + "/busybox.tar"
            environment["XDG_RUNTIME_DIR"] = bundle.folder
            // Libraries of the toolchain are not for programs of the distribution.
            environment["LD_LIBRARY_PATH"] = nil
            let result = try runCommand(
                ["/bin/bash", "-euc", script], environment: environment, timeout: .seconds(90))
            try #require(result.status == 0, "\(result)")
            return result.text.split(separator: "\n").map(String.init)
        }

        /// Root inside an existing user namespace: Podman makes it, and calls conmon and the runtime there.
        @Test func podmanRunsContainers() throws {
            let bundle = try RuntimeBundle()
            let lines = try Self.run(
                """
                podman() {
                    command podman --root "$FOLDER/p" --runroot "$FOLDER/r" --tmpdir "$FOLDER/t" --storage-driver vfs \
                        --cgroup-manager cgroupfs --events-backend file --runtime "$RUNTIME" "$@" 2>>"$FOLDER/errors"
                }
                trap 'cat "$FOLDER/errors" >&2; podman unshare rm -rf "$FOLDER/p"; kill $(cat "$FOLDER"/t/pause.pid "$FOLDER"/libpod/tmp/pause.pid 2>/dev/null) 2>/dev/null || true' EXIT
                podman load -q -i "$IMAGE" >/dev/null
                podman run --rm --network none busybox echo run
                podman run -d --name c --network none busybox sleep 1000 >/dev/null
                podman exec c echo exec
                code=0; podman exec c sh -c 'exit 5' || code=$?; echo "exec $code"
                podman stop -t 0 c
                podman rm c
                code=0; podman run --rm --network none busybox nothing || code=$?; echo "missing $code"
                code=0; podman run --rm --network none busybox sh -c 'exit 9' || code=$?; echo "status $code"
                """, bundle, try Samara.shared())
            #expect(lines == ["run", "exec", "exec 5", "c", "c", "missing 127", "status 9"])
        }

        /// containerd and its shim, as root of a user namespace with the ids of this user.
        @Test func containerdRunsContainers() throws {
            let bundle = try RuntimeBundle()
            let script = """
                mount -t tmpfs tmpfs /run
                printf '%s\n' 'version = 2' "root = '$FOLDER/root'" "state = '$FOLDER/shim'" \
                    'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]' \
                    '[grpc]' "address = '$FOLDER/s'" '[ttrpc]' 'address = ""' >"$FOLDER/containerd.toml"
                containerd --config "$FOLDER/containerd.toml" >"$FOLDER/containerd.log" 2>&1 &
                daemon=$!
                # containerd deletes snapshots after the container they were of: rm would find the folder not empty.
                trap 'kill $daemon; wait $daemon || :; tail -3 "$FOLDER/containerd.log" >&2; rm -rf "$FOLDER/root" "$FOLDER/shim"' EXIT
                ctr() { command ctr -a "$FOLDER/s" "$@" 2>>"$FOLDER/errors"; }
                until ctr version >/dev/null; do kill -0 $daemon || exit; done
                ctr images import "$IMAGE" >/dev/null
                run=(run --snapshotter native --runc-binary "$RUNTIME")
                image=docker.io/library/busybox:latest
                ctr "${run[@]}" --rm $image one echo run
                ctr "${run[@]}" -d $image two sleep 1000
                ctr task exec --exec-id e two echo exec
                ctr task ls -q
                ctr task kill --signal KILL two
                until ctr task ls | grep -q STOPPED; do :; done
                code=0; ctr task delete two || code=$?; echo "delete $code"
                code=0; ctr "${run[@]}" --rm $image three sh -c 'exit 7' || code=$?; echo "status $code"
                """
            try script.write(toFile: bundle.folder + "/containerd.sh", atomically: true, encoding: .utf8)
            // Everything in it ends with the first process of the pid namespace.
            let lines = try Self.run(
                """
                unshare --user --map-root-user --map-users auto --map-groups auto --mount --pid --fork --mount-proc \
                    --kill-child bash -eu "$FOLDER/containerd.sh"
                """, bundle, try Samara.shared())
            #expect(lines == ["run", "exec", "two", "delete 0", "status 7"])
        }
    }
}
