"""The workspace on a local disk, with versions of what calls change in it.

Layer: adapters/workspace. `KeptWorkspace` implements ports.workspace.Workspace: `names` renders odd file names, `nodes`
are the terms, `scan` looks, `beneath` writes without leaving the root, `blobs` keeps bytes, `index` remembers,
`plan` decides an undo, `versions` joins them, `adapter` is the asynchronous door. `WorkspaceLabels` (`labels`) implements
ports.labels.FileLabels: `content` looks for digests, `places` are what the policy declares.
Absent: any judgement of what may be changed (guard) and any view of the workspace for tools (sandbox).
"""
