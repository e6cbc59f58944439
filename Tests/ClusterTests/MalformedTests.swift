// Every file of the folder Malformed goes through the real client to a live coordinator: each has its error, and the
// coordinator serves on.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Malformed manifests are refused, each with its error")
struct MalformedTests {
  /// File → what the client says of it.
  static let expected: [String: String] = [
    "bad-label.yaml": "metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters",
    "bad-name.yaml": "metadata.name: Invalid value: \"Not_A_Name!\": a lowercase RFC 1123 subdomain must consist of",
    "bad-namespace.yaml": "Error from server (NotFound): error when applying \"bad-namespace.yaml\": "
      + "namespaces \"nowhere\" not found",
    "bad-quantity.yaml": "quantities must match the regular expression",
    "bad-yaml.yaml": "error parsing bad-yaml.yaml: error converting YAML to JSON: yaml: line 5: "
      + "did not find expected node content",
    "billion-laughs.yaml": "yaml: document contains excessive aliasing",
    "binary.yaml": "yaml: control characters are not allowed",
    "broken.json": "error parsing broken.json: error converting YAML to JSON",
    "command-has-numbers.yaml": "json: cannot unmarshal number into Go struct field "
      + "Container.spec.template.spec.containers.command of type string",
    "command-is-a-text.yaml": "json: cannot unmarshal string into Go struct field "
      + "Container.spec.template.spec.containers.command of type []string",
    "config-map-is-nested.yaml": "json: cannot unmarshal object into Go struct field ConfigMap.data of type string",
    "containers-is-an-object.yaml": "json: cannot unmarshal object into Go struct field "
      + "PodSpec.spec.template.spec.containers of type []v1.Container",
    "deep-json.json": "exceeded max depth of 64",
    "deep-nesting.yaml": "yaml: exceeded max depth of 64",
    "empty.yaml": "error: no objects passed to apply",
    "kind-is-a-number.yaml": "error validating data: kind not set",
    "list.yaml": "\"list.yaml\" holds an array where an object should be",
    "long-name.yaml": "spec.template.labels: Invalid value: \"nnnn",
    "mapping-in-mapping.yaml": "yaml: mapping values are not allowed in this context",
    "metadata-is-a-list.yaml": "error: resource name may not be empty in \"metadata-is-a-list.yaml\"",
    "mount-of-nothing.yaml": "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"nothing\"",
    "no-containers.yaml": "The Job \"no-containers\" is invalid: spec.template.spec.containers: Required value",
    "no-kind.yaml": "error validating data: kind not set",
    "no-name.yaml": "error: resource name may not be empty in \"no-name.yaml\"",
    "no-template.yaml": "* spec.template.spec.containers: Required value",
    "no-version.yaml": "error validating data: apiVersion not set",
    "not-a-number.yaml": "yaml: line 6: unsupported value: .nan",
    "not-utf8.yaml": "yaml: invalid leading UTF-8 octet",
    "nul.yaml": "yaml: control characters are not allowed",
    "only-comments.yaml": "error: no objects passed to apply",
    "own-anchor.yaml": "yaml: line 1: anchor 'a' value contains itself",
    "parallelism-is-a-fraction.yaml": "json: cannot unmarshal number 1.5 into Go struct field "
      + "JobSpec.spec.parallelism of type int32",
    "parallelism-is-a-text.yaml": "json: cannot unmarshal string into Go struct field "
      + "JobSpec.spec.parallelism of type int32",
    "parallelism-is-huge.yaml": "json: cannot unmarshal number 100000000000000000000 into Go struct field "
      + "JobSpec.spec.parallelism of type int32",
    "parallelism-is-negative.yaml": "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
    "path-name.yaml": "metadata.name: Invalid value: \"../../etc/passwd\"",
    "restart-always.yaml": "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
    "scalar.yaml": "\"scalar.yaml\" holds a string where an object should be",
    "second-document-is-bad.yaml": "metadata.name: Invalid value: \"Second_Is_Bad\"",
    "spec-is-a-text.yaml": "json: cannot unmarshal string into Go struct field Job.spec of type v1.JobSpec",
    "tabs.yaml": "yaml: line 6: found character that cannot start any token",
    "unknown-anchor.yaml": "yaml: line 5: unknown anchor 'nowhere' referenced",
    "unknown-field.yaml": "strict decoding error: unknown field \"spec.paralelism\"",
    "unknown-kind.yaml": "no matches for kind \"Deployment\" in version \"apps/v1\"",
    "unknown-version.yaml": "no matches for kind \"Job\" in version \"batch/v9\"",
  ]

  private static var folder: String { "\(Files.split(#filePath).parent)/Malformed" }

  @Test("each file of the folder, and an object of 2 MiB, through the real client; the coordinator serves on")
  func everyFile() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let files = try Files.list(Self.folder).sorted()
        try checkEqual(files, (Self.expected.keys + ["duplicate-key.yaml"]).sorted(), "files of the folder")
        for file in files where file != "duplicate-key.yaml" {
          // Under its bare name, as a person in that folder would type it.
          try symlink("\(Self.folder)/\(file)", in: cluster, as: file)
          let result = try cluster.stint(["apply", "-f", file], in: "\(cluster.directory)/malformed")
          try checkEqual(result.status, 1, "the exit status of \(file) (\(result.text))")
          try check(result.text.contains(Self.expected[file] ?? "?"), "\(file): \(result.text.prefix(500))")
          try check(cluster.coordinator?.isRunning == true, "the coordinator ended after \(file)")
        }
        try symlink("\(Self.folder)/duplicate-key.yaml", in: cluster, as: "duplicate-key.yaml")
        let twice = try cluster.stint(["apply", "-f", "duplicate-key.yaml"], in: "\(cluster.directory)/malformed")
        try checkEqual(twice.status, 0, "the exit status of duplicate-key.yaml, which kubectl takes")
        try check(twice.text.contains("key \"parallelism\" already set in map; the last one counts"), twice.text)

        try huge(cluster)
        try checkEqual(
          cluster.stint("get", "jobs", "-o", "name").text, "job.batch/first-is-good\njob.batch/twice\n", "")
        try checkEqual(cluster.job("twice")[path: ["spec", "parallelism"]]?.intValue, 2, "parallelism")
      }
    }
  }

  private func huge(_ cluster: TestCluster) throws {
    let path = "\(cluster.directory)/malformed/huge.yaml"
    let long = String(repeating: "x", count: 2 << 20)
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: huge}\ndata:\n  text: \(long)\n"
    try Files.writeAtomically(path, Array(text.utf8))
    let applied = try cluster.stint("apply", "-f", path)
    try checkEqual(applied.status, 1, "the exit status of apply with 2 MiB")
    let tooLong = "The ConfigMap \"huge\" is invalid: []: Too long: may not be more than 1048576 bytes"
    try check(applied.text.contains(tooLong), applied.text)
    let created = try cluster.stint("create", "-f", path)
    try checkEqual(created.status, 1, "the exit status of create with 2 MiB")
    try check(created.text.contains(tooLong), created.text)
    // What Kubernetes just takes goes in several frames, and comes back so.
    let full = String(repeating: "y", count: 1 << 20)
    try Files.writeAtomically(
      path, Array("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: full}\ndata:\n  text: \(full)\n".utf8))
    for outcome in ["created", "unchanged"] {
      let taken = try cluster.stint("apply", "-f", path)
      try check(taken.status == 0 && taken.text.contains("configmap/full \(outcome)"), taken.text)
    }
    try check(try cluster.stint("get", "configmap", "full", "-o", "yaml").text.contains(full), "what is read back")
  }

  private func symlink(_ target: String, in cluster: TestCluster, as name: String) throws {
    try Files.makeDirectory("\(cluster.directory)/malformed")
    guard Glibc.symlink(target, "\(cluster.directory)/malformed/\(name)") == 0 else { throw IOError.last("link", name) }
  }
}
