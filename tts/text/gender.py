"""Tell whether a French noun is feminine: "1 table" is "une table", "21 tables" "vingt et une tables".

By its ending where endings decide, with their exceptions, and by name for the frequent nouns whose ending says nothing.
What is in doubt is not feminine: a wrong "une" is heard more than a missing one. So a 1 counts only where it stands as
a quantity does: "l'étape 1 commence" is no beginning, "il y a 1 chaise" is a chair.
"""

import re

_ENDINGS = re.compile(
    r".(?:[stx]ion|aison|ité|[ae]nce|ette|elle|esse|euse|trice|ière|ure|ude|ée|ie|ise|ille|(?<!o)ine|aine|erie)$"
)
_MASCULINE = frozenset(
    """
    bastion comité invité traité retraité silence squelette violoncelle vermicelle polichinelle libelle cimetière derrière
    arrière murmure mercure cyanure parjure augure carbure prélude interlude musée lycée trophée apogée athée scarabée
    mausolée incendie génie parapluie sosie zombie messie brie foie gorille mille bacille vaudeville quadrille
    portefeuille millefeuille magazine domaine capitaine
    """.split()  # noqa: SIM905
)
_FEMININE = frozenset(
    """
    sœur mère tante femme dame nièce reine table chaise porte fenêtre chambre pièce rue route ville île forêt mer
    montagne plage ferme école classe page ligne lettre phrase syllabe langue voix parole note liste carte photo
    image vidéo musique chanson danse piste radio télé clé clef main jambe tête dent bouche joue peau fleur rose
    herbe plante pomme poire orange fraise banane tomate carotte salade soupe tarte pizza crème tasse cuillère boîte
    caisse tente lampe montre bague robe jupe veste botte moto roue place gare nuit minute seconde heure fois date
    fête guerre victoire défaite équipe coupe balle course étape épreuve règle loi clause taxe amende dette somme
    vente offre demande commande requête réponse erreur couleur douleur odeur valeur longueur largeur hauteur
    profondeur chaleur lueur peur faveur cour part moitié dose goutte tranche couche boucle variable méthode tâche
    touche icône base colonne cellule plainte enveloppe banque boutique politique pratique technique fabrique
    statistique république clinique brique antenne planète étoile lune arme bombe flèche corde chaîne vis planche
    pierre plaque vitre vache chèvre poule souris fourmi mouche girafe personne victime star recrue chose cause
    preuve faute peine œuvre scène pause phase zone province commune capitale centrale tonne promenade façade
    ambassade marche recherche branche approche marque remarque époque attaque bibliothèque lame flamme gamme rame
    âme larme alarme ombre chute tempête conquête enquête dépêche pêche crèche hache tache poche cloche ruche bûche
    douche mèche jauge loge cage rage nage neige aide salle malle halle étoffe griffe truffe moustache barbe courbe
    gerbe tribu vertu dot foi paroi fin faim soif nef croix noix paix perdrix chaux faux toux
    """.split()  # noqa: SIM905
)
_ADJECTIVES = frozenset(
    """
    grande petite nouvelle belle bonne seule première dernière longue vieille jolie mauvaise grosse telle certaine
    """.split()  # noqa: SIM905
)
_OF_BOTH_GENDERS = frozenset("autre simple unique énorme jeune même large rare double triple".split())  # noqa: SIM905


_BEFORE_A_QUANTITY = frozenset(
    """
    ai as a avons avez ont avait aura avec de pour contre sans dans en et ou à par sur plus moins environ reste faut
    que soit seulement encore vous est sont fait prend prends prenez ajoutez achète achetez acheté donne donnez gagné
    perdu il elle j'ai d'environ au-dessus chaque contient comporte comprend voici voilà
    """.split()  # noqa: SIM905
)


def is_quantity(before: str) -> bool:
    """Say whether a number that comes after `before` counts what follows, rather than numbering what precedes."""
    before = before.rstrip()
    return not before or before[-1] in ",.;:!?(…—-" or before.split()[-1].lower() in _BEFORE_A_QUANTITY


def is_feminine(words: list[str]) -> bool:
    """Say whether the noun is feminine that a number counts, given the lower-case words after the number."""
    if not words:
        return False
    first = words[0]
    if first in _OF_BOTH_GENDERS or first.removesuffix("s") in _OF_BOTH_GENDERS:
        return is_feminine(words[1:])
    noun = first if first in _FEMININE else re.sub(r"[sx]$", "", first)
    if noun in _FEMININE or noun in _ADJECTIVES:
        return True
    return noun not in _MASCULINE and bool(_ENDINGS.search(noun))
