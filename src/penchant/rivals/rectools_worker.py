"""RecTools' side of `penchant.rivals.rectools`: fit one of its models and list items, under its own interpreter.

    python -I rectools_worker.py FOLDER

Nothing of Penchant is imported. FOLDER holds `settings.json` (see `penchant.rivals.rectools.settings_of`) and
`split.npz`: user_id, item_id, datetime (one an event; datetime only orders a user's events) and users (rising), whose
lists are asked for. Written there: `lists.npz` with lists (len(users), k), -1 where the model has nothing to say, and
`about.json` with minutes and what was chosen.

Each learning rate is run with the last item of every user held out, until its loss has not fallen for `patience` epochs
or for `epochs` at most; the best rate is then fitted anew on all events for as many epochs as were best.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    import pandas as pd
    import rectools.models as models
    from pytorch_lightning import Callback, Trainer, seed_everything
    from pytorch_lightning.callbacks import EarlyStopping
    from rectools.dataset import Dataset

    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    split = np.load(folder / "split.npz", allow_pickle=False)
    interactions = pd.DataFrame({name: split[name] for name in ("user_id", "item_id", "datetime")})
    interactions["datetime"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(interactions["datetime"], unit="min")
    interactions["weight"] = 1.0

    def held_out(table: pd.DataFrame, **_: Any) -> np.ndarray[Any, Any]:
        from_end = table.groupby("user_id")["datetime"].rank(method="first", ascending=False)
        return np.asarray(from_end <= 1)

    quiet = {
        "default_root_dir": folder,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "logger": False,
        "enable_model_summary": False,
    }

    class Losses(Callback):  # type: ignore[misc]
        """Validation loss after each epoch."""

        def __init__(self) -> None:
            self.by_epoch: list[float] = []

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                self.by_epoch.append(float(trainer.callback_metrics["val_loss"]))

    def fit(rate: float, mask: Any, trainer: Any) -> Any:
        seed_everything(settings["seed"], workers=True)
        made = getattr(models, f"{settings['peer']}Model")(
            n_blocks=settings["n_layers"],
            n_heads=settings["n_heads"],
            n_factors=settings["n_dims"],
            dropout_rate=settings["dropout"],
            session_max_len=settings["max_length"],
            batch_size=settings["batch_size"],
            lr=rate,
            get_val_mask_func=mask,
            get_trainer_func=trainer,
        )
        return made.fit(dataset)

    dataset = Dataset.construct(interactions)
    start = time.perf_counter()
    tried = []
    for rate in settings["rates"]:
        callbacks = [Losses(), EarlyStopping("val_loss", patience=settings["patience"])]
        made = fit(
            rate,
            held_out,
            lambda callbacks=callbacks: Trainer(max_epochs=settings["epochs"], callbacks=callbacks, **quiet),
        )
        # RecTools trains with a copy of the trainer: only that one's callbacks have seen anything
        losses = next(call for call in made.fit_trainer.callbacks if isinstance(call, Losses))
        best = int(np.argmin(losses.by_epoch))
        tried.append((losses.by_epoch[best], rate, best + 1))
    _, rate, epochs = min(tried)
    model = fit(rate, None, lambda: Trainer(max_epochs=epochs, **quiet))
    minutes = (time.perf_counter() - start) / 60
    table = model.recommend(users=split["users"], dataset=dataset, k=settings["k"], filter_viewed=True)
    lists = np.full((len(split["users"]), settings["k"]), -1, np.int32)
    lists[np.searchsorted(split["users"], table["user_id"]), table["rank"] - 1] = table["item_id"]
    np.savez(folder / "lists.npz", lists=lists)
    about = {"minutes": minutes, "tried": tried, "rate": rate, "epochs": epochs}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
