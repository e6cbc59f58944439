// Requests for API objects and their answers, the same for both doors (native protocol and HTTP). Pure data.
// The meaning of verbs, validation, tables and watches is the coordinator core's.

/// What a request asks for, in Kubernetes' words for authorisation.
package enum APIVerb: String, Sendable, CaseIterable {
  case get, list, watch, create, update, patch, delete, deletecollection
  /// Log of a pod's container (`pods/log`): streams bytes, not objects.
  case log
  /// Into a running pod (`pods/exec`, `pods/attach`, `pods/portforward`): bytes both ways, not objects.
  case connect
}

/// How a patch is meant, by its media type.
package enum PatchKind: String, Sendable {
  case json = "application/json-patch+json"
  case merge = "application/merge-patch+json"
  case strategic = "application/strategic-merge-patch+json"
  case apply = "application/apply-patch+yaml"
}

/// How much of an object a reader wants.
package enum AnswerForm: String, Sendable { case object, table, metadata }

/// Query options of all verbs; each verb reads its own.
package struct APIOptions: Equatable, Sendable {
  /// Kubernetes' label selector, as written; nil: everything.
  package var labelSelector: String?
  /// Kubernetes' field selector, as written; nil: everything.
  package var fieldSelector: String?
  /// At most so many objects in one answer; nil: all.
  package var limit: Int64?
  /// Where the list before this one ended.
  package var continueToken: String?
  /// The version that a list or watch begins at, as the client wrote it.
  package var resourceVersion: String?
  /// `Exact` or `NotOlderThan`; only beside resourceVersion.
  package var resourceVersionMatch: String?
  /// Whether the watch may be sent bookmarks.
  package var allowWatchBookmarks = false
  /// Whether a watch begins with what is there, ended by a bookmark.
  package var sendInitialEvents: Bool?
  /// A watch ends after so many seconds; nil: with its connection.
  package var timeoutSeconds: Int64?
  /// Everything is checked and answered, nothing is kept.
  package var dryRun = false
  /// Who owns the fields that this write sets.
  package var fieldManager: String?
  /// Strict, Warn or Ignore; nil: the verb's default (Warn).
  package var fieldValidation: String?
  /// What strict decoding finds wrong with the body's text itself: `duplicate field "spec.suspend"`. Not sent.
  package var strictErrors: [String] = []
  /// Server-side apply takes fields from their owners.
  package var force: Bool?
  /// How the body of a patch is meant; nil for other verbs.
  package var patchKind: PatchKind?
  /// delete: grace, propagation (Background, Foreground, Orphan), preconditions.
  package var gracePeriodSeconds: Int64?
  /// `Background`, `Foreground` or `Orphan`; nil: the kind's default.
  package var propagationPolicy: String?
  /// A delete or update is for the object with this uid only.
  package var preconditionUID: String?
  /// A delete is for the object of this version only.
  package var preconditionResourceVersion: String?
  /// Table requests: `includeObject` None, Metadata (default), Object.
  package var includeObject: String?
  /// log options (pods/log).
  package var container: String?
  /// Logs: goes on while the container runs.
  package var follow = false
  /// Logs: of the run before the last restart.
  package var previous = false
  /// Logs: at most so many lines from the end.
  package var tailLines: Int64?
  /// Logs: what is younger than so many seconds.
  package var sinceSeconds: Int64?
  /// Logs: what is younger than this time.
  package var sinceTime: WallTime?
  /// Logs: each line begins with its time.
  package var timestamps = false
  /// Logs: at most so many bytes.
  package var limitBytes: Int64?

  /// Takes each value as it stands; without any, no option is set.
  package init() {}
}

/// One request for API objects.
package struct APIRequest: Equatable, Sendable {
  /// Who asks, as the door has proven it. Not sent.
  package var subject = Subject.anonymous
  /// The API group by which the resource was named, where that is not the kind's own. Not sent.
  package var group: String?
  /// What is asked.
  package var verb: APIVerb
  /// Of which kind.
  package var kind: Kind
  /// Empty: cluster-scoped, or all namespaces for list and watch.
  package var namespace: String
  /// The object's name; empty for a list or a create.
  package var name: String
  /// `status`, `log`, `eviction`, … or empty.
  package var subresource: String
  /// Query parameters and what else modifies the verb.
  package var options: APIOptions
  /// In which form the answer is wanted.
  package var form: AnswerForm
  /// The object or patch; nil for reads.
  package var body: JSON?

  /// Takes each value as it stands; without any, no option is set.
  package init(
    verb: APIVerb, kind: Kind, namespace: String = "", name: String = "", subresource: String = "",
    options: APIOptions = APIOptions(), form: AnswerForm = .object, body: JSON? = nil
  ) {
    self.verb = verb
    self.kind = kind
    self.namespace = namespace
    self.name = name
    self.subresource = subresource
    self.options = options
    self.form = form
    self.body = body
  }
}

/// One part of an answer. A request gets any number of `items` and `event`s, then exactly one `done`.
package enum APIReply: Equatable, Sendable {
  /// A piece of a list: items in order, before the `done` that carries the list object without its items.
  case items([JSON])
  /// A watch event: ADDED, MODIFIED, DELETED, BOOKMARK, ERROR.
  case event(type: String, object: JSON)
  /// Code as HTTP's; `object` is the object, list frame, Table frame or Status; warnings as Kubernetes' Warning
  /// headers.
  case done(code: Int, object: JSON, warnings: [String])
  /// A piece of a log.
  case bytes([UInt8])
}
