// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func podCreateCommand() -> Command<Session> {
    Command("create", summary: "Create a new empty pod") {
        CommandDeclaration(
            description: """
                After creating the pod, the pod ID is printed to stdout.

                You can then start it at any time with the  samara pod start <pod_id> command. The pod will be created with the initial state 'created'.
                """,
            usage: "[options] [NAME]",
            examples: ["samara pod create", "samara pod create --label foo=bar mypod"],
            flags: PodCreateFlags.declarations, positional: .atMost(1),
            run: { session, arguments in
                let request = try PodCreateFlags.request(arguments, commandLine: session.commandLine)
                let pod = try session.engine(arguments).createPod(request)
                try session.print(pod.record.id + "\n")
                return 0
            })
    }
}

/// The flags of `pod create` and what they ask for.
enum PodCreateFlags {
    static var declarations: [Flag] {
        [
            .strings("add-host", help: "Add a custom host-to-IP mapping (host:ip)"),
            .strings("dns", help: "Set custom DNS servers"),
            .strings("dns-option", help: "Set custom DNS options").alias("dns-opt"),
            .strings("dns-search", help: "Set custom DNS search domains"),
            .string("exit-policy", default: "continue", help: "Behaviour when the last container exits"),
            .bool("help", help: "").hidden(),
            .string("hostname", short: "h", help: "Set container hostname"),
            .bool(
                "infra", default: true,
                help: "Create an infra container associated with the pod to share namespaces with"),
            .string("infra-name", help: "Assign a name to the container"),
            .stringArray("label", short: "l", help: "Set metadata on container"),
            .stringArray("label-file", help: "Read in a line delimited file of labels"),
            .string("name", short: "n", help: "Assign a name to the pod"),
            .stringArray("network", help: "Connect a container to a network").alias("net"),
            .bool(
                "no-hosts",
                help: "Do not create /etc/hosts within the container, instead use the version from the image"),
            .string("pod-id-file", help: "Write the pod ID to the file"),
            .strings("publish", short: "p", help: "Publish a container's port, or a range of ports, to the host"),
            .bool("replace", help: "If a pod with the same name exists, replace it"),
            .string(
                "restart",
                help: "Restart policy to apply when a container exits "
                    + "(\"always\"|\"no\"|\"never\"|\"on-failure\"|\"unless-stopped\")"),
            .string(
                "share", default: "ipc,net,uts", help: "A comma delimited list of kernel namespaces the pod will share"),
            .string(
                "shm-size", placeholder: "<number>[<unit>]", default: "65536k",
                help:
                    "Size of /dev/shm (format: <number>[<unit>], where unit = b (bytes), k (kibibytes), m (mebibytes), or g (gibibytes))"
            ),
            .strings("sysctl", help: "Sysctl options"),
            .stringArray("volume", short: "v", help: "Bind mount a volume into the container"),
        ]
    }

    static func request(_ arguments: ParsedArguments, commandLine: [String]) throws -> PodRequest {
        var request = PodRequest()
        request.name = arguments.stringIfSet("name")
        if let name = arguments.positional.first {
            if request.name != nil { throw Failure("cannot specify --name and a positional argument") }
            request.name = name
        }
        request.replacesExisting = arguments.bool("replace")
        if request.replacesExisting, request.name?.isEmpty != false {
            throw Failure("cannot replace pod without --name being set")
        }
        request.ports = arguments.strings("publish")
        request.volumes = arguments.strings("volume")
        request.network = try NetworkFlag.single(arguments.strings("network"))
        request.share = arguments.stringIfSet("share")
        request.hasInfra = arguments.isSet("infra") ? arguments.bool("infra") : nil
        request.podIDFile = arguments.stringIfSet("pod-id-file")
        if request.hasInfra == false { try checkWithoutInfra(arguments) }
        if arguments.bool("no-hosts"), arguments.isSet("add-host") {
            throw Failure("--no-hosts and --add-host cannot be set together")
        }
        for server in arguments.strings("dns") { try NetworkFlag.checkAddress(server, flag: "dns") }
        for entry in arguments.strings("add-host") { try NetworkFlag.checkHost(entry) }
        var settings = PodRecord()
        settings.labels = try LabelFlags.labels(arguments)
        settings.hostname = arguments.string("hostname")
        settings.infraName = arguments.string("infra-name")
        settings.addedHosts = arguments.strings("add-host")
        settings.managesHosts = !arguments.bool("no-hosts")
        settings.dnsServers = arguments.strings("dns")
        settings.dnsSearch = arguments.strings("dns-search")
        settings.dnsOptions = arguments.strings("dns-option")
        settings.sysctls = try SysctlFlag.pairs(arguments.strings("sysctl"))
        settings.shmSize = try ShmSize.bytes(arguments.string("shm-size"))
        settings.exitPolicy = try exitPolicy(arguments.string("exit-policy"))
        settings.restartPolicy = try RestartPolicy.normalised(arguments.string("restart"))
        settings.createCommand = commandLine
        request.settings = settings
        return request
    }

    /// What only an infra container can hold.
    private static func checkWithoutInfra(_ arguments: ParsedArguments) throws(Failure) {
        let needing = [
            "infra-name", "publish", "network", "hostname", "dns", "dns-option", "dns-search", "add-host", "no-hosts",
            "shm-size", "sysctl",
        ]
        if let flag = needing.first(where: { arguments.isSet($0) }) {
            throw Failure("cannot set --\(flag) without an infra container: give it without --infra=false")
        }
    }

    private static func exitPolicy(_ text: String) throws(Failure) -> String {
        switch text {
        case "continue", "stop": return text
        case "": return "continue"
        default: throw Failure("invalid pod exit policy: \"\(text)\"")
        }
    }
}
